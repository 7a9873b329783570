//! Paths in angle brackets: where one ends and what follows.

/// Splits `<path> rest` into the path without brackets and the rest without the blank. A `>` inside quotes does not
/// end the path. `None` when there are no brackets or something else than a blank follows.
pub(super) fn split_path(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let end = path_end(inner)?;
    let rest = &inner[end + 1..];
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(' ')? };
    Some((&inner[..end], rest))
}

fn path_end(inner: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (offset, octet) in inner.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            //= smtp/ADDR-001
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(offset),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        for (text, expected) in [
            ("<a@b>", Some(("a@b", ""))),
            ("<> RET=FULL", Some(("", "RET=FULL"))),
            ("<\"a>b\"@c> X", Some(("\"a>b\"@c", "X"))),
            ("<\"a\\\">\"@c> X", Some(("\"a\\\">\"@c", "X"))),
            ("a@b", None),
            ("<a@b", None),
            ("<a@b>X", None),
            ("<\"a@b>", None),
        ] {
            assert_eq!(split_path(text), expected, "{text}");
        }
    }
}
