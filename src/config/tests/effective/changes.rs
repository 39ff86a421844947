//! The sections that differ between two configurations.

use super::super::{Folder, LEAST, parse, with};

#[test]
fn a_change_names_each_section_that_differs() {
    let with_budget =
        |requests: u32| with("[providers.p]", &format!("budget = {{ requests = {requests}, per = \"1m\" }}"));
    let other_caller = LEAST.replace("[callers.c]", "[callers.d]");
    let table = [
        (LEAST.to_owned(), LEAST.to_owned(), vec![]),
        (LEAST.to_owned(), format!("# a comment\n{LEAST}"), vec![]),
        (with_budget(10), with_budget(20), vec!["providers.p"]),
        (LEAST.to_owned(), with("[freshness]", "fresh_for = \"9s\""), vec!["freshness", "providers.p"]),
        (LEAST.to_owned(), other_caller, vec!["callers.c", "callers.d"]),
        (LEAST.to_owned(), format!("{LEAST}level = \"debug\"\n"), vec!["log"]),
    ];
    for (before, after, expected) in table {
        let (before, after) = (parse(&before).unwrap(), parse(&after).unwrap());

        assert_eq!(after.changes_since(&before), expected);
    }
}

#[test]
fn a_changed_secret_changes_its_section() {
    let folder = Folder::new();
    let path = folder.file("token", "t0k3n-1");
    let text = LEAST.replace("{ env = \"TOKEN\" }", &format!("{{ file = \"{path}\" }}"));
    let before = parse(&text).unwrap();
    folder.file("token", "t0k3n-2");

    let after = parse(&text).unwrap();

    assert_eq!(after.changes_since(&before), ["accounts.a"]);
    assert_eq!(after.masked(), before.masked());
}
