//! Runs a script as the store does: Lua 5.1, with `KEYS`, `ARGV` and `redis.call`.

use std::cell::RefCell;
use std::collections::HashMap;

use mlua::{Function, Lua, Table, Variadic};
use redis::Value;

use super::keyspace::{Keyspace, Refused, Rights};

/// Each thread has one engine, with the scripts that it has run.
struct Engine {
    lua: Lua,
    scripts: RefCell<HashMap<String, Function>>,
}

thread_local! {
    static ENGINE: Engine = Engine { lua: Lua::new(), scripts: RefCell::default() };
}

/// One call of a script.
pub(crate) struct Call<'a> {
    pub(crate) code: &'a str,
    pub(crate) keys: &'a [Vec<u8>],
    pub(crate) arguments: &'a [Vec<u8>],
    /// The store's clock, in microseconds.
    pub(crate) now: u64,
    pub(crate) is_full: bool,
    pub(crate) is_read_only: bool,
}

/// Runs a script. Returns its answer and the messages that it published. If it fails, its earlier writes remain.
pub(crate) fn run(call: &Call<'_>, keyspace: &mut Keyspace) -> (Result<Value, Refused>, Vec<Vec<u8>>) {
    let mut told = Vec::new();
    keyspace.expire(call.now);
    let result = match rights(call) {
        Ok(rights) => ENGINE
            .with(|engine| engine.run(call, keyspace, rights, &mut told).map_err(|error| error.to_string())),
        Err(refused) => Err(refused),
    };
    (result, told)
}

/// The rights that the flags in the first line of a script give it.
fn rights(call: &Call<'_>) -> Result<Rights, Refused> {
    let flags = call.code.lines().next().and_then(|line| line.strip_prefix("#!lua flags="));
    let flags = flags.ok_or("ERR no flags")?;
    let may_write = flags != "no-writes";
    if call.is_read_only && may_write {
        return Err("READONLY can not run script with write flag on a replica".to_owned());
    }
    if call.is_full && flags.is_empty() {
        return Err("OOM allow-oom flag is not set on the script".to_owned());
    }
    Ok(Rights { may_write, may_grow: true })
}

impl Engine {
    fn run(
        &self,
        call: &Call<'_>,
        keyspace: &mut Keyspace,
        rights: Rights,
        told: &mut Vec<Vec<u8>>,
    ) -> mlua::Result<Value> {
        let script = self.script(call.code)?;
        let globals = self.lua.globals();
        let strings = |words: &[Vec<u8>]| {
            let strings = words.iter().map(|word| self.lua.create_string(word));
            self.lua.create_sequence_from(strings.collect::<mlua::Result<Vec<_>>>()?)
        };
        globals.set("KEYS", strings(call.keys)?)?;
        globals.set("ARGV", strings(call.arguments)?)?;
        self.lua.scope(|scope| {
            let command = scope.create_function_mut(|lua, words: Variadic<mlua::Value>| {
                let words = words.iter().map(word).collect::<mlua::Result<Vec<_>>>()?;
                let answer = keyspace.run(&words, rights, call.now, told).map_err(mlua::Error::runtime)?;
                into_lua(lua, &answer)
            })?;
            let redis = self.lua.create_table()?;
            redis.set("call", command)?;
            globals.set("redis", redis)?;
            let decode = scope.create_function(|lua, text: mlua::LuaString| {
                let value = serde_json::from_slice(&text.as_bytes()).map_err(mlua::Error::external)?;
                decoded(lua, &value)
            })?;
            let cjson = self.lua.create_table()?;
            cjson.set("decode", decode)?;
            globals.set("cjson", cjson)?;
            from_lua(&script.call(())?)
        })
    }

    fn script(&self, code: &str) -> mlua::Result<Function> {
        if let Some(script) = self.scripts.borrow().get(code) {
            return Ok(script.clone());
        }
        let (_, body) = code.split_once('\n').unwrap_or(("", code));
        let script = self.lua.load(body).into_function()?;
        self.scripts.borrow_mut().insert(code.to_owned(), script.clone());
        Ok(script)
    }
}

/// An argument of a command: text, or a number with all its digits.
fn word(value: &mlua::Value) -> mlua::Result<Vec<u8>> {
    match value {
        mlua::Value::String(text) => Ok(text.as_bytes().to_vec()),
        mlua::Value::Integer(number) => Ok(number.to_string().into_bytes()),
        mlua::Value::Number(number) => Ok(number.to_string().into_bytes()),
        other => Err(mlua::Error::runtime(format!("ERR argument is {}", other.type_name()))),
    }
}

/// Decodes JSON as `cjson.decode` does: every number is a float.
fn decoded(lua: &Lua, value: &serde_json::Value) -> mlua::Result<mlua::Value> {
    use serde_json::Value;
    Ok(match value {
        Value::String(text) => mlua::Value::String(lua.create_string(text)?),
        Value::Number(number) => mlua::Value::Number(number.as_f64().unwrap_or_default()),
        Value::Bool(is_true) => mlua::Value::Boolean(*is_true),
        Value::Array(items) => {
            let items = items.iter().map(|item| decoded(lua, item)).collect::<mlua::Result<Vec<_>>>()?;
            mlua::Value::Table(lua.create_sequence_from(items)?)
        }
        Value::Object(fields) => {
            let table = lua.create_table()?;
            for (name, value) in fields {
                table.set(name.as_str(), decoded(lua, value)?)?;
            }
            mlua::Value::Table(table)
        }
        Value::Null => return Err(mlua::Error::runtime("nothing of ours is null")),
    })
}

fn into_lua(lua: &Lua, answer: &Value) -> mlua::Result<mlua::Value> {
    Ok(match answer {
        Value::BulkString(text) => mlua::Value::String(lua.create_string(text)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| into_lua(lua, item)).collect::<mlua::Result<Vec<_>>>()?;
            mlua::Value::Table(lua.create_sequence_from(items)?)
        }
        Value::Int(number) => mlua::Value::Integer(*number),
        // A missing value is `false` to a script.
        _ => mlua::Value::Boolean(false),
    })
}

fn from_lua(answer: &mlua::Value) -> mlua::Result<Value> {
    Ok(match answer {
        mlua::Value::String(text) => Value::BulkString(text.as_bytes().to_vec()),
        mlua::Value::Integer(number) => Value::Int(*number),
        mlua::Value::Table(items) => Value::Array(sequence(items)?),
        _ => Value::Nil,
    })
}

/// The items before the first missing one.
fn sequence(items: &Table) -> mlua::Result<Vec<Value>> {
    items.sequence_values::<mlua::Value>().map(|item| from_lua(&item?)).collect()
}
