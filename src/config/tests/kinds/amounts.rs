//! Mistakes in how a kind reads a body: units, digits, roles, rows and examples.

use super::{Mistake, PLAIN, ROWS};

/// The mistakes by the number of their rule.
pub(super) const MISTAKES: &[(u8, &[Mistake])] = &[
    (
        1,
        &[
            (PLAIN, "units = \"minor\"\n", "", "kinds.k.units: ", "missing"),
            (PLAIN, "currency = \"BRL\"\n", "", "kinds.k.currency: ", "missing"),
            (
                PLAIN,
                "available = \"/available\"",
                "available = { at = \"/available\", units = \"major\" }",
                "kinds.k.available.units: ",
                "unknown key",
            ),
        ],
    ),
    (
        2,
        &[
            (
                PLAIN,
                "currency = \"BRL\"",
                "currency = \"CLP\"",
                "kinds.k.digits: ",
                "Adyen counts CLP in hundredths",
            ),
            (
                ROWS,
                "units = \"major\"",
                "units = \"minor\"\ndigits = { USD = 2 }",
                "kinds.k.digits.USD: ",
                "other digits than ISO 4217's 2",
            ),
            (
                PLAIN,
                "units = \"minor\"",
                "units = \"major\"\ndigits = { CLP = 2 }",
                "kinds.k.digits: ",
                "only together with units = \"minor\"",
            ),
        ],
    ),
    (
        3,
        &[
            (
                PLAIN,
                "[[kinds.k.examples]]\nbody = { env = \"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"\n",
                "",
                "kinds.k.examples: ",
                "missing",
            ),
            (
                PLAIN,
                "\"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"",
                "\"ZERO\" }\navailable = \"48734.91\"\nblocked = \"0.00\"",
                "kinds.k.examples: ",
                "none of them zero",
            ),
            (
                PLAIN,
                "\"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"",
                "\"EQUAL\" }\navailable = \"48734.91\"\nblocked = \"48734.91\"",
                "kinds.k.examples: ",
                "all different",
            ),
            (
                PLAIN,
                "\"PLAIN\" }\navailable = \"48734.91\"\nblocked = \"1250.37\"",
                "\"ROUND\" }\navailable = \"48734.90\"\nblocked = \"1250.30\"",
                "kinds.k.examples: ",
                "last digit is not 0",
            ),
            (PLAIN, "blocked = \"1250.37\"\n", "", "kinds.k.examples[0]: ", "blocked: missing"),
            (
                PLAIN,
                "\"48734.91\"",
                "\"48734.92\"",
                "kinds.k.examples[0]: ",
                "expected 48734.92, but the mapping gives 48734.91",
            ),
            (PLAIN, "\"48734.91\"", "\"48734.910\"", "kinds.k.examples[0]: ", "with the 2 digits of BRL"),
            (
                ROWS,
                "\"ROWS\"",
                "\"FIRST_ROW\"",
                "kinds.k.examples: ",
                "another row before and after the right one",
            ),
        ],
    ),
    (
        7,
        &[
            (PLAIN, "\"/blocked\"", "\"blocked\"", "kinds.k.blocked: ", "a JSON pointer"),
            (PLAIN, "\"/blocked\"", "\"/block~2ed\"", "kinds.k.blocked: ", "~0 for ~"),
            (PLAIN, "\"/blocked\"", "\"/1/2/3/4/5/6/7/8/9\"", "kinds.k.blocked: ", "at most 8"),
            (
                PLAIN,
                "blocked = \"/blocked\"",
                "blocked = \"/available\"",
                "kinds.k.blocked: ",
                "each pointer once",
            ),
        ],
    ),
    (
        8,
        &[
            (
                PLAIN,
                "available = \"/available\"",
                "available = { sum = [\"/available\", \"/more\"] }",
                "kinds.k.available",
                "",
            ),
            (
                PLAIN,
                "available = \"/available\"",
                "available = \"/available\"\ntotal = { sum = [\"/more\", \"/round\"] }",
                "kinds.k.total",
                "",
            ),
            (
                PLAIN,
                "blocked = \"/blocked\"",
                "blocked = { sum = [\"/blocked\"] }",
                "kinds.k.blocked: ",
                "2 to 8",
            ),
            (
                PLAIN,
                "blocked = \"/blocked\"",
                "blocked = { sum = [\"/blocked\", { at = \"/more\", optional = true }] }",
                "kinds.k.blocked: ",
                "no optional amount in a sum",
            ),
        ],
    ),
    (
        9,
        &[
            (
                PLAIN,
                "units =",
                "where = { \"/kind\" = \"main\" }\nunits =",
                "kinds.k.where: ",
                "only together with rows",
            ),
            (
                ROWS,
                "currency = { at = \"/currency\" }",
                "currency = \"BRL\"",
                "kinds.k.currency: ",
                "a row could be in another currency",
            ),
            (
                ROWS,
                "available = \"/amount\"",
                "available = \"/0/amount\"",
                "kinds.k.available: ",
                "no row number",
            ),
        ],
    ),
    (
        13,
        &[(
            PLAIN,
            "body = { env = \"PLAIN\" }",
            "body = { env = \"PLAIN\" }\nobserved_at = \"2026-11-21 06:59\"",
            "kinds.k.examples[0].observed_at: ",
            "an instant in quotes",
        )],
    ),
    (
        16,
        &[(
            PLAIN,
            "provider = \"p\"",
            "provider = \"p\"\nalerts = { blocked_ratio = \"0.5\" }",
            "accounts.a.alerts.blocked_ratio: ",
            "",
        )],
    ),
];
