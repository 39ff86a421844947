//! Writes HTML. It escapes every text except literal markup.

use serde_json::Value;

/// The text of a page, which the methods extend.
#[derive(Default)]
pub(crate) struct Html(String);

impl Html {
    /// Adds markup verbatim.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for sign in text.chars() {
            match sign {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                _ => self.0.push(sign),
            }
        }
        self
    }

    /// Adds a text in an element.
    pub(crate) fn element(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.raw("<").raw(name).raw(">").text(text).raw("</").raw(name).raw(">")
    }

    /// Adds a link to another place of the page.
    pub(crate) fn link(&mut self, target: &str, text: &str) -> &mut Self {
        self.raw("<a href=\"#").text(target).raw("\">").text(text).raw("</a>")
    }

    /// Begins a section under its heading.
    pub(crate) fn section(&mut self, name: &str) -> &mut Self {
        self.raw("<section id=\"").text(name).raw("\">\n").element("h2", name).raw("\n")
    }

    /// Adds paragraphs, separated by blank lines; text between back-ticks is code.
    pub(crate) fn prose(&mut self, text: &str) -> &mut Self {
        for paragraph in text.split("\n\n") {
            self.raw("<p>");
            for (at, part) in paragraph.trim().split('`').enumerate() {
                if at % 2 == 0 {
                    self.text(part)
                } else {
                    self.element("code", part)
                };
            }
            self.raw("</p>\n");
        }
        self
    }

    /// Adds JSON, indented.
    pub(crate) fn json(&mut self, value: &Value) -> &mut Self {
        // Texts and numbers serialise without failing.
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.raw("<pre tabindex=\"0\">").text(&text).raw("</pre>")
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_become_markup() {
        let mut page = Html::default();

        page.prose("a `<b>` & \"c\"\n\nd");

        assert_eq!(page.into_text(), "<p>a <code>&lt;b&gt;</code> &amp; &quot;c&quot;</p>\n<p>d</p>\n");
    }
}
