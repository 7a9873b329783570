//! Header fields outside ASCII as encoded words (RFC 2047), where a field allows that.

use crate::smtp::headers::{Field, Header};

use super::encoding::words;
use super::{ConvertFault, Edit};

const TEXT_FIELDS: [&str; 5] = ["Subject", "Comments", "Content-Description", "Thread-Topic", "Organization"];
const ADDRESS_FIELDS: [&str; 10] =
    ["From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc"];

/// Finds what to do so that the header of the mail is ASCII.
pub(super) fn edits(octets: &[u8], header: &Header, edits: &mut Vec<Edit>) -> Result<(), ConvertFault> {
    for field in &header.fields {
        let whole = octets.get(field.whole.clone()).unwrap_or_default();
        if !whole.is_ascii() {
            edits.push(edit(octets, field)?);
        }
    }
    Ok(())
}

fn edit(octets: &[u8], field: &Field) -> Result<Edit, ConvertFault> {
    let name = String::from_utf8_lossy(octets.get(field.name.clone()).unwrap_or_default()).into_owned();
    let value = octets.get(field.value.clone()).and_then(|value| std::str::from_utf8(value).ok());
    let Some(value) = value.map(|value| value.replace("\r\n", "")) else {
        return Err(ConvertFault::Field(name));
    };
    // A label is evidence: it goes as it was said, or the mail goes back.
    if name.to_ascii_lowercase().contains("label") {
        return Err(ConvertFault::Field(name));
    }
    let among = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(&name));
    let with = if among(&TEXT_FIELDS) || name.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("X-")) {
        Some(words(value.trim()))
    } else if among(&ADDRESS_FIELDS) {
        addresses(&value)
    } else {
        None
    };
    let with = with.ok_or(ConvertFault::Field(name))?;
    Ok(Edit { at: field.value.clone(), with: format!(" {with}").into_bytes() })
}

/// A list of mailboxes with their display names encoded; `None` when an address itself, or a group, is outside ASCII.
fn addresses(value: &str) -> Option<String> {
    let items: Option<Vec<String>> = split(value)?.into_iter().map(mailbox).collect();
    Some(items?.join(",\r\n "))
}

fn mailbox(item: &str) -> Option<String> {
    let item = item.trim();
    if item.is_ascii() {
        return Some(item.to_owned());
    }
    let (name, address) = item.split_at(item.rfind('<')?);
    let name = name.trim();
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
        None if name.contains(['"', '(', ':', ';']) => return None,
        None => name.to_owned(),
    };
    (address.is_ascii() && address.ends_with('>')).then(|| format!("{} {address}", words(&name)))
}

/// The items between commas outside quotes and brackets; `None` when a quote or comment is open at the end.
fn split(value: &str) -> Option<Vec<&str>> {
    let (mut items, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut depth) = (false, false, 0u32);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.checked_sub(1)?,
            ',' if !quoted && depth == 0 => {
                items.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&value[start..]);
    (!quoted && depth == 0).then_some(items)
}
