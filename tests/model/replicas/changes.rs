//! Changes to the text of the store's scripts. The oracle must notice each of them.

use std::iter::once;

use super::judge;
use super::stories::{self, FIRST};
use super::world::Change;

/// The number of schedules within which a change must be noticed.
const SEARCHED: u64 = 100;

/// Changes that are made together, with a seed that notices them.
const CHANGES: [(&[Change], u64); 55] = [
    // publish.lua stores the time of publication instead of the read's; lets an older balance replace a younger one;
    // does not end a failure series after a success; does not publish the end of the read; does not end the lease.
    (&[("'t', text(arguments.instant), 'v'", "'t', text(now), 'v'")], 8),
    (
        &[(
            "(stored_turn >= arguments.turn or stored_instant > arguments.instant)",
            "stored_turn >= arguments.turn",
        )],
        FIRST,
    ),
    (
        &[(
            "'ha', 'hc' .. arguments.credential, 'ra', 'rc' .. arguments.credential)",
            "'ha', 'hc' .. arguments.credential)",
        )],
        FIRST + 4,
    ),
    (&[("'ended ' .. waiting .. ' ' .. text(arguments.turn))", "'nothing')")], 14),
    (&[("redis.call('HDEL', state, 'l' .. arguments.order)", "")], 8),
    // fail.lua: no hold; waiters get no failure; holds do not double; a short hold replaces a long one; reads that fail
    // together double the hold; the end of the read is not published.
    (&[("redis.call('HSET', state, field, text(now + held) .. ' ' .. arguments.failure)", "")], 69),
    (&[("if arguments.failure ~= '' then", "if false then")], FIRST + 1),
    (&[("held = math.min(held * 2 ^ (times - 1), arguments.most)", "")], 308),
    (&[("if number(longer, now + arguments.most) <= now + held then", "if true then")], FIRST + 2),
    (
        &[(
            "if times == 0 or number(redis.call('HGET', state, last), now) <= arguments.turn then",
            "if true then",
        )],
        FIRST + 3,
    ),
    (&[("'ended ' .. waiting .. ' ' .. turn)", "'nothing')")], 69),
    // enter.lua: parts of the ticket are ignored; waiters get no failure; a running lease is ignored; holds are ignored;
    // new numbers are below older ones.
    (&[("turn > above and instant >= arguments.since", "turn > above")], 93),
    (&[("if arguments.joined > 0 then", "if false then")], FIRST + 1),
    (&[("token ~= arguments.expired and", "false and")], 14),
    (&[("if ends > now and is_failure(field, failure) then", "if false then")], 69),
    (
        &[
            ("math.max(last, above, number(arguments.highest, latest)) + 1", "last + 1"),
            ("turn = math.max(turn, now)", ""),
        ],
        98,
    ),
    // invalidate.lua and look.lua: the mark is not published, not written, not above the last number, or not read.
    (&[("'marked ' .. balance", "'nothing ' .. balance")], 21),
    (&[("redis.call('HSET', KEYS[1], 'm' .. balance, text(mark))", "")], FIRST + 10),
    (&[("mark = math.max(mark, number(fields[1], latest) + 1", "mark = math.max(mark, 0")], 235),
    (
        &[(
            "mark = math.max(mark, number(fields[1], latest) + 1, number(fields[2], latest),\n    number(arguments.highest[place], latest))",
            "",
        )],
        FIRST + 11,
    ),
    (&[("answer('look', text(last), text(mark))", "answer('look', text(last), '0')")], FIRST + 10),
    // account.lua: no budget; no local shares; a stepped clock, or a lost log,
    // begins no epoch; a call counts too briefly; expired calls stay.
    (&[("local is_free = count < arguments.share", "local is_free = true")], 17),
    (&[("local is_settling = now - began < arguments.per", "local is_settling = false")], 17),
    // account.lua: a replica that has reconnected may take the whole budget.
    (&[("elseif arguments.cautious_for > 0 then", "elseif false then")], FIRST + 15),
    (&[("if is_doubted and (not known", "if false and (not known")], FIRST + 6),
    (&[("if known and logged == 'epoch ' .. known then", "if known then")], FIRST + 8),
    (
        &[(
            "redis.call('ZADD', calls, text(now + arguments.span), arguments.call)",
            "redis.call('ZADD', calls, text(now + arguments.per), arguments.call)",
        )],
        FIRST + 5,
    ),
    (&[("redis.call('ZREMRANGEBYSCORE', calls, '-inf', text(now))", "")], 17),
    // ended.lua and restore.lua: the end of a call is ignored; calls are not written back.
    (&[("redis.call('ZADD', calls, text(now + arguments.per), arguments.call)", "")], 17),
    (&[("redis.call('ZADD', calls, 'GT', text(now + arguments.left[place]), call)", "")], FIRST + 7),
    // breaker.lua: it never opens; its opening is not published; two replicas probe; a success does not close it.
    (&[("if failures >= arguments.failures then", "if false then")], 98),
    (&[("'breaker ' .. arguments.provider", "'nothing ' .. arguments.provider")], 98),
    (
        &[(
            "if is_open and open_until <= now and not is_probing then",
            "if is_open and open_until <= now then",
        )],
        FIRST + 9,
    ),
    // units.lua: more units are given than the bucket has.
    (&[("local taken = math.min(arguments.missing, there)", "local taken = arguments.missing")], 2),
    // notified.lua: every replica processes every notification.
    (
        &[
            ("if last > 0 and last >= now - arguments.since then", "if false then"),
            ("if last > 0 and wait > 0 then", "if false then"),
        ],
        FIRST + 12,
    ),
    (&[("if last > 0 and wait > 0 then", "if false then")], FIRST + 12),
    // enter.lua ignores: the numbers that replicas know; the lower bound of a ticket; the end of a lease; the epoch; an
    // instant in the future; that a replica may not read; the read that the caller waited for.
    (&[("math.max(last, above, number(arguments.highest, latest)) + 1", "last + 1")], FIRST + 30),
    (&[("turn > above and instant >= arguments.since", "instant >= arguments.since")], FIRST + 20),
    (&[("token ~= arguments.expired", "true")], FIRST + 21),
    (&[("and snapshot[4] == redis.call('HGET', state, 'epoch')", "")], FIRST + 31),
    (&[("if instant > now then", "if false then")], FIRST + 33),
    (&[("if not arguments.may_read then", "if false then")], FIRST + 18),
    (&[("number(string.match(failure, '^(%d+) '), latest) >= arguments.joined", "true")], FIRST + 36),
    // look.lua: a snapshot of another epoch is found. publish.lua: a success does not end the balance's failure series.
    (&[("if not fields[3] or snapshot[4] ~= fields[3] then", "if false then")], FIRST + 32),
    (&[("redis.call('HDEL', state, 'hb' .. balance, 'rb' .. balance, 'f' .. balance)", "")], FIRST + 34),
    // breaker.lua: a probe without an outcome blocks the next one; a success does not end the failure series.
    (&[("elseif event == 'unknown' and is_probe then", "elseif false then")], FIRST + 35),
    (&[("elseif event == 'balance' and not is_open then\n  close()", "elseif false then")], FIRST + 38),
    // publish.lua and fail.lua: another replica's lease is ended. account.lua: after a step of the clock, the old log stays.
    (
        &[(
            "if lease and string.match(lease, ' (%x+)$') == arguments.lease then\n  redis.call",
            "if lease then\n  redis.call",
        )],
        FIRST + 40,
    ),
    (
        &[(
            "if lease and string.match(lease, ' (%x+)$') == arguments.lease then\n  -- A replica",
            "if lease then\n  -- A replica",
        )],
        FIRST + 41,
    ),
    (&[("    redis.call('DEL', calls)\n    known = nil", "    known = nil")], FIRST + 42),
    // ended.lua: a call that was not sent still counts. account.lua: the wait in a new epoch is not shortened.
    (&[("redis.call('ZADD', calls, 'XX', text(now), arguments.call)", "")], FIRST + 47),
    (&[("wait = math.min(wait, began + arguments.per - now)", "")], 0),
    // account.lua, about an epoch from before a step: the replica knew it; it did not begin because of a step; it began
    // because of an earlier one.
    (&[(" or known == arguments.epoch_before", "")], FIRST + 45),
    (&[("known ~= redis.call('HGET', state, 'stepped')", "false")], FIRST + 43),
    (&[("'stepped') or began < since)", "'stepped'))")], FIRST + 46),
];

#[test]
fn a_change_to_a_script_is_noticed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shared/lua");
    let scripts =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
    let scripts: String = scripts.map(Result::unwrap).collect();
    for (before, _) in CHANGES.iter().flat_map(|(changes, _)| *changes) {
        assert!(scripts.contains(before), "no script says {before}");
    }

    // The recorded seed first. If the code has changed since, other seeds may notice the change.
    let noticed_by = |changes, seed| {
        once(seed).chain(stories::all()).chain(0..SEARCHED).find(|seed| judge(*seed, changes).is_err())
    };
    let mut missed = Vec::new();
    for (changes, seed) in CHANGES {
        if let Some(seed) = noticed_by(changes, seed) {
            println!("seed {seed} notices {changes:?}");
        } else {
            println!("MISSED {changes:?}");
            missed.push(changes);
        }
    }

    assert!(missed.is_empty(), "{missed:#?}");
}
