//! The data of the store, and the commands that scripts use on it.

use std::collections::BTreeMap;

use redis::Value;

/// Changes nothing.
const READS: [&str; 6] = ["TIME", "HGET", "HMGET", "ZRANGE", "ZCARD", "PING"];
/// Needs memory.
const GROWS: [&str; 2] = ["HSET", "ZADD"];

type Text = Vec<u8>;

/// Why a command is refused, in the store's words.
pub(crate) type Refused = String;

/// The data of one store. Instants are microseconds of the store's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyspace {
    keys: BTreeMap<Text, Key>,
}

#[derive(Clone, Debug)]
struct Key {
    value: Stored,
    expires_at: Option<u64>,
}

#[derive(Clone, Debug)]
enum Stored {
    Hash(BTreeMap<Text, Text>),
    Sorted(BTreeMap<Text, f64>),
}

/// What a script may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) may_write: bool,
    pub(crate) may_grow: bool,
}

impl Keyspace {
    /// Removes expired keys.
    pub(crate) fn expire(&mut self, now: u64) {
        self.keys.retain(|_, key| key.expires_at.is_none_or(|at| now < at));
    }

    /// Removes the keys with this ending.
    pub(crate) fn evict(&mut self, ending: &[u8]) {
        self.keys.retain(|name, _| !name.ends_with(ending));
    }

    /// Runs one command of a script. `now` is the store's clock; published messages are added to `told`.
    pub(crate) fn run(
        &mut self,
        words: &[Text],
        rights: Rights,
        now: u64,
        told: &mut Vec<Text>,
    ) -> Result<Value, Refused> {
        let [name, arguments @ ..] = words else { return Err("ERR no command".to_owned()) };
        let name = String::from_utf8_lossy(name).into_owned();
        if !rights.may_write && !READS.contains(&name.as_str()) {
            return Err("ERR write command in a script that writes nothing".to_owned());
        }
        if !rights.may_grow && GROWS.contains(&name.as_str()) {
            return Err("OOM command not allowed".to_owned());
        }
        match (name.as_str(), arguments) {
            ("TIME", []) => Ok(Value::Array(vec![text(&(now / 1_000_000)), text(&(now % 1_000_000))])),
            ("HGET", [key, field]) => Ok(self.field(key, field)?),
            ("HMGET", [key, fields @ ..]) => {
                Ok(Value::Array(fields.iter().map(|field| self.field(key, field)).collect::<Result<_, _>>()?))
            }
            ("HSET", [key, fields @ ..]) => {
                let hash = self.hash(key)?;
                for pair in fields.chunks(2) {
                    let [field, value] = pair else { return Err("ERR wrong number of arguments".to_owned()) };
                    hash.insert(field.clone(), value.clone());
                }
                Ok(Value::Int(0))
            }
            ("HDEL", [key, fields @ ..]) => {
                let hash = self.hash(key)?;
                for field in fields {
                    hash.remove(field);
                }
                self.drop_if_empty(key);
                Ok(Value::Int(0))
            }
            ("DEL", keys) => Ok(Value::Int(
                keys.iter().filter_map(|key| self.keys.remove(key)).count().try_into().unwrap_or(0),
            )),
            ("PEXPIRE", [key, life]) => {
                let expires_at = now.saturating_add(1000 * number::<u64>(life)?);
                if let Some(key) = self.keys.get_mut(key) {
                    key.expires_at = Some(expires_at);
                }
                Ok(Value::Int(1))
            }
            ("ZADD", [key, rest @ ..]) => self.add(key, rest),
            ("ZCARD", [key]) => Ok(Value::Int(self.ranked(key)?.len().try_into().unwrap_or(0))),
            ("ZRANGE", [key, first, last, rest @ ..]) => {
                self.range(key, number(first)?, number(last)?, !rest.is_empty())
            }
            ("ZREMRANGEBYSCORE", [key, least, most]) => {
                let (least, most) = (bound(least)?, bound(most)?);
                let is_within = |score: f64| {
                    (score > least.0 || score >= least.0 && !least.1)
                        && (score < most.0 || score <= most.0 && !most.1)
                };
                self.sorted(key)?.retain(|_, score| !is_within(*score));
                self.drop_if_empty(key);
                Ok(Value::Int(0))
            }
            ("PUBLISH", [_, message]) => {
                told.push(message.clone());
                Ok(Value::Int(1))
            }
            _ => Err(format!("ERR unknown command {name}")),
        }
    }

    fn field(&self, key: &Text, field: &Text) -> Result<Value, Refused> {
        match self.keys.get(key).map(|key| &key.value) {
            None => Ok(Value::Nil),
            Some(Stored::Hash(hash)) => Ok(hash.get(field).cloned().map_or(Value::Nil, Value::BulkString)),
            Some(Stored::Sorted(_)) => Err(wrong_type()),
        }
    }

    fn hash(&mut self, key: &Text) -> Result<&mut BTreeMap<Text, Text>, Refused> {
        match &mut self.entry(key, Stored::Hash(BTreeMap::new())).value {
            Stored::Hash(hash) => Ok(hash),
            Stored::Sorted(_) => Err(wrong_type()),
        }
    }

    fn sorted(&mut self, key: &Text) -> Result<&mut BTreeMap<Text, f64>, Refused> {
        match &mut self.entry(key, Stored::Sorted(BTreeMap::new())).value {
            Stored::Sorted(sorted) => Ok(sorted),
            Stored::Hash(_) => Err(wrong_type()),
        }
    }

    fn entry(&mut self, key: &Text, empty: Stored) -> &mut Key {
        self.keys.entry(key.clone()).or_insert(Key { value: empty, expires_at: None })
    }

    fn drop_if_empty(&mut self, key: &Text) {
        let is_empty = |key: &Key| match &key.value {
            Stored::Hash(hash) => hash.is_empty(),
            Stored::Sorted(sorted) => sorted.is_empty(),
        };
        if self.keys.get(key).is_some_and(is_empty) {
            self.keys.remove(key);
        }
    }

    fn add(&mut self, key: &Text, rest: &[Text]) -> Result<Value, Refused> {
        let (condition, pairs) = match rest {
            [condition, pairs @ ..] if [b"XX".as_slice(), b"GT"].contains(&condition.as_slice()) => {
                (Some(condition.as_slice()), pairs)
            }
            pairs => (None, pairs),
        };
        let sorted = self.sorted(key)?;
        for pair in pairs.chunks(2) {
            let [score, member] = pair else { return Err("ERR wrong number of arguments".to_owned()) };
            let (score, stored) = (number(score)?, sorted.get(member));
            let may_add = match condition {
                Some(b"XX") => stored.is_some(),
                Some(_) => stored.is_none_or(|stored| *stored < score),
                None => true,
            };
            if may_add {
                sorted.insert(member.clone(), score);
            }
        }
        self.drop_if_empty(key);
        Ok(Value::Int(0))
    }

    fn ranked(&self, key: &Text) -> Result<Vec<(f64, &Text)>, Refused> {
        let mut ranked: Vec<_> = match self.keys.get(key).map(|key| &key.value) {
            None => Vec::new(),
            Some(Stored::Sorted(sorted)) => sorted.iter().map(|(member, score)| (*score, member)).collect(),
            Some(Stored::Hash(_)) => return Err(wrong_type()),
        };
        ranked.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(other.1)));
        Ok(ranked)
    }

    fn range(&self, key: &Text, first: i64, last: i64, with_scores: bool) -> Result<Value, Refused> {
        let ranked = self.ranked(key)?;
        let count = i64::try_from(ranked.len()).unwrap_or(i64::MAX);
        let from_end = |place: i64| if place < 0 { place + count } else { place };
        let (first, last) = (from_end(first).max(0), from_end(last));
        let picked = ranked.iter().zip(0_i64..).filter(|(_, place)| (first..=last).contains(place));
        let mut values = Vec::new();
        for ((score, member), _) in picked {
            values.push(Value::BulkString((*member).clone()));
            if with_scores {
                values.push(text(score));
            }
        }
        Ok(Value::Array(values))
    }
}

fn text(value: &impl ToString) -> Value {
    Value::BulkString(value.to_string().into_bytes())
}

/// One end of a range of scores, and whether it is exclusive.
fn bound(word: &[u8]) -> Result<(f64, bool), Refused> {
    match word.strip_prefix(b"(") {
        Some(excluded) => Ok((number(excluded)?, true)),
        None => Ok((number(word)?, false)),
    }
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Result<T, Refused> {
    let text = std::str::from_utf8(word).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| "ERR value is not a number".to_owned())
}

fn wrong_type() -> Refused {
    "WRONGTYPE operation against a key holding the wrong kind of value".to_owned()
}
