//! Finds log macros without an explicit target: their lines would change if the file moved.

use proc_macro2::{TokenStream, TokenTree};

use crate::source::SourceFile;

/// The macros of `tracing` that take a target.
const LOGGING: [&str; 13] = [
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "event",
    "span",
    "trace_span",
    "debug_span",
    "info_span",
    "warn_span",
    "error_span",
    "enabled",
];

/// The log macros of a file without an explicit target.
pub(crate) fn missing(source: &SourceFile) -> Vec<String> {
    let mut found = Vec::new();
    for code in &source.macros {
        search(code.clone(), &mut found);
    }
    found.into_iter().map(|name| format!("{}: {name}! has no target", source.path.display())).collect()
}

fn search(tokens: TokenStream, found: &mut Vec<String>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for tokens in tokens.windows(3) {
        if let [TokenTree::Ident(name), TokenTree::Punct(sign), TokenTree::Group(arguments)] = tokens
            && sign.as_char() == '!'
            && LOGGING.iter().any(|logging| name == logging)
            && !has_target(arguments.stream())
        {
            found.push(name.to_string());
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            search(group.stream(), found);
        }
    }
}

/// Whether the arguments begin with `target: CONSTANT`.
fn has_target(arguments: TokenStream) -> bool {
    let mut tokens = arguments.into_iter();
    let first = [tokens.next(), tokens.next(), tokens.next()];
    matches!(
        &first,
        [Some(TokenTree::Ident(name)), Some(TokenTree::Punct(sign)), Some(TokenTree::Ident(_))]
            if name == "target" && sign.as_char() == ':'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planted;

    #[test]
    fn a_log_line_without_a_target_is_found() {
        for (text, name) in [
            (r#"fn f() { tracing::warn!("lost"); }"#, "warn"),
            (r#"use tracing::info; fn f() { info!(event = "ready", "ready") }"#, "info"),
            (r#"fn f() { select! { () = ended => tracing::warn!("ended"), } }"#, "warn"),
            (r#"fn f() { tracing::error!(target: "balance_gateway::app", "lost"); }"#, "error"),
            (r#"fn f() { tracing::error!(error, target, "lost"); }"#, "error"),
            (r#"fn f() { let _span = tracing::info_span!("read").entered(); }"#, "info_span"),
        ] {
            let found = missing(&planted("cache.rs", text));

            assert_eq!(found, [format!("cache.rs: {name}! has no target")], "{text}");
        }
    }

    #[test]
    fn a_log_line_with_a_constant_target_is_allowed() {
        for text in [
            r#"fn f() { tracing::warn!(target: targets::READ, event = "lost", "lost"); }"#,
            r#"fn f() { select! { () = ended => tracing::warn!(target: LOG_TARGET, "ended"), } }"#,
            r#"fn f() { assert!(has_error, "error!"); }"#,
            r#"#[cfg(test)] mod tests { fn f() { tracing::warn!("lost"); } }"#,
        ] {
            assert_eq!(missing(&planted("cache.rs", text)), [""; 0], "{text}");
        }
    }
}
