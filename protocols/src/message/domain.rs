//! Patterns that name domains in configurations.

/// Whether a pattern covers a domain (both in lower case): the domain itself, `.a` for all below `a`, `*` for all.
pub fn covers(pattern: &str, domain: &str) -> bool {
    match pattern {
        "*" => true,
        _ if pattern.starts_with('.') => domain.ends_with(pattern),
        _ => pattern == domain,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, domain, expected) in [
            ("hq.test", "hq.test", true),
            ("hq.test", "x.hq.test", false),
            (".hq.test", "x.hq.test", true),
            (".hq.test", "hq.test", false),
            ("*", "anything", true),
        ] {
            assert_eq!(covers(pattern, domain), expected, "{pattern} {domain}");
        }
    }
}
