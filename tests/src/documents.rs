//! What the documents say, so that tests can run it.

use std::path::Path;

/// A page of docs/integrations.
pub struct Page {
    name: String,
    text: String,
}

impl Page {
    /// The page for a tool.
    #[track_caller]
    pub fn of(tool: &str) -> Self {
        let name = format!("docs/integrations/{tool}.md");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&name);
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, text }
    }

    /// The blocks of code under a heading, in their order.
    #[track_caller]
    pub fn under(&self, heading: &str) -> Vec<String> {
        let begin = format!("\n## {heading}\n");
        let (_, rest) =
            self.text.split_once(&begin).unwrap_or_else(|| panic!("{}: no heading {heading}", self.name));
        let section = rest.split("\n## ").next().unwrap_or_default();
        // Text and code take turns between fences.
        let blocks: Vec<_> = section.split("```\n").skip(1).step_by(2).map(str::to_owned).collect();
        assert!(!blocks.is_empty(), "{}: no code under {heading}", self.name);
        blocks
    }

    /// The only block of code under a heading.
    #[track_caller]
    pub fn block(&self, heading: &str) -> String {
        let mut blocks = self.under(heading);
        assert_eq!(blocks.len(), 1, "{}: one block of code under {heading}", self.name);
        blocks.remove(0)
    }
}
