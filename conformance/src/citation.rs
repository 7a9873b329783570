//! Citations: lines `//= spec/ID` above the code that obeys a requirement.

/// One citation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Citation {
    /// `spec/ID`.
    pub id: String,
    /// The file, from the root of the workspace.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

/// The citations in the text of a file.
pub fn scan(file: &str, text: &str) -> Vec<Citation> {
    text.lines()
        .enumerate()
        .filter_map(|(number, line)| {
            let id = line.trim_start().strip_prefix("//= ")?.split_whitespace().next()?;
            Some(Citation { id: id.to_owned(), file: file.to_owned(), line: number + 1 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations_are_found_where_they_stand() {
        let found = scan("a.rs", "//! text\n    //= s5066/SIS-001\nlet a = \"//= no/NO\";\n//= smtp/B-2 and why\n");
        let ids: Vec<_> = found.iter().map(|citation| (citation.id.as_str(), citation.line)).collect();
        assert_eq!(ids, [("s5066/SIS-001", 2), ("smtp/B-2", 4)]);
    }
}
