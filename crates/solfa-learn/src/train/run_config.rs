//! A run's configuration as a table: its digest, and in which keys it differs from another one.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};
use toml::{Table, Value};

use crate::checkpoint::to_hexadecimal;

/// Keys that may be other ones when a run is resumed: they say how long and where it runs, not what it computes.
pub const KEYS_THAT_MAY_CHANGE: [&str; 6] = [
    "training.steps",
    "training.checkpoint_every",
    "training.keep_checkpoints",
    "training.signals_every",
    "loader",
    "device",
];

/// A key with another value.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigDifference {
    /// The key, with those that it is nested in: `model.hidden`.
    pub key: String,
    /// Its value in the run; none where the run has no such key.
    pub old: Option<Value>,
    /// Its value now.
    pub new: Option<Value>,
}

impl fmt::Display for ConfigDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| value.as_ref().map_or("not there".to_owned(), Value::to_string);
        write!(formatter, "{}: {} in the run, {} now", self.key, shown(&self.old), shown(&self.new))
    }
}

/// Every key that differs, in order, apart from those that `may_change` names: a key itself, or all within it.
pub fn config_differences(old: &Table, new: &Table, may_change: &[&str]) -> Vec<ConfigDifference> {
    let mut differences = Vec::new();
    compare_tables("", old, new, &mut differences);
    differences.retain(|difference| !is_named(&difference.key, may_change));
    differences
}

/// SHA-256 of a configuration without the keys that may change, in hexadecimal: the same whatever the order of keys and
/// the spaces between them.
pub fn config_sha256(config: &Table, may_change: &[&str]) -> String {
    let mut text = String::new();
    write_values("", config, may_change, &mut text);
    to_hexadecimal(&Sha256::digest(text))
}

fn is_named(key: &str, keys: &[&str]) -> bool {
    keys.iter().any(|named| key.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn nested(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn compare_tables(prefix: &str, old: &Table, new: &Table, differences: &mut Vec<ConfigDifference>) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        compare(nested(prefix, key), old.get(key), new.get(key), differences);
    }
}

fn compare(key: String, old: Option<&Value>, new: Option<&Value>, differences: &mut Vec<ConfigDifference>) {
    match (old, new) {
        (Some(Value::Table(old)), Some(Value::Table(new))) => compare_tables(&key, old, new, differences),
        (Some(Value::Table(old)), None) => compare_tables(&key, old, &Table::new(), differences),
        (None, Some(Value::Table(new))) => compare_tables(&key, &Table::new(), new, differences),
        // Lists of tables, item by item.
        (Some(Value::Array(old)), Some(Value::Array(new)))
            if old.iter().chain(new).all(Value::is_table) && !(old.is_empty() && new.is_empty()) =>
        {
            for number in 0..old.len().max(new.len()) {
                compare(nested(&key, &number.to_string()), old.get(number), new.get(number), differences);
            }
        }
        (old, new) if old == new => {}
        (old, new) => differences.push(ConfigDifference { key, old: old.cloned(), new: new.cloned() }),
    }
}

/// One line a key, in order.
fn write_values(prefix: &str, table: &Table, may_change: &[&str], text: &mut String) {
    let keys: BTreeSet<&String> = table.keys().collect();
    for key in keys {
        let name = nested(prefix, key);
        match &table[key] {
            _ if is_named(&name, may_change) => {}
            Value::Table(table) => write_values(&name, table, may_change, text),
            value => *text += &format!("{name} = {}\n", sorted(value)),
        }
    }
}

/// A value's text with the keys of tables in lists in order.
fn sorted(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let mut text = String::new();
            write_values("", table, &[], &mut text);
            format!("{{{text}}}")
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    const OLD: &str = r#"
        recipe = "muq"
        [training]
        steps = 1000
        [model]
        hidden = 256
        heads = [4, 8]
        [model.front_end]
        channels = 64
        [[optimizer.groups]]
        path = "norm"
        [device]
        name = "cpu"
    "#;

    #[test]
    fn every_key_that_differs_is_named_with_both_values() {
        let new = table(
            r#"
            recipe = "muq"
            seed = 3
            [training]
            steps = 2000
            [model]
            hidden = 512
            heads = [4]
            [[optimizer.groups]]
            path = "bias"
            [[optimizer.groups]]
            path = "norm"
            [device]
            name = "cuda"
            "#,
        );
        let differences = config_differences(&table(OLD), &new, &KEYS_THAT_MAY_CHANGE);
        let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let expected = [
            "model.front_end.channels: 64 in the run, not there now",
            "model.heads: [4, 8] in the run, [4] now",
            "model.hidden: 256 in the run, 512 now",
            "optimizer.groups.0.path: \"norm\" in the run, \"bias\" now",
            "optimizer.groups.1.path: not there in the run, \"norm\" now",
            "seed: not there in the run, 3 now",
        ];
        assert_eq!(lines, expected);
        assert_eq!(config_differences(&table(OLD), &table(OLD), &[]), []);
    }

    #[test]
    fn a_named_key_stands_for_all_within_it_and_no_other() {
        let new = table(&OLD.replace("256", "512").replace("64", "32"));
        let keys = |may_change: &[&str]| {
            let differences = config_differences(&table(OLD), &new, may_change);
            differences.into_iter().map(|difference| difference.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(&["model"]), Vec::<String>::new());
        assert_eq!(keys(&["model.front"]), ["model.front_end.channels", "model.hidden"]);
        assert_eq!(keys(&["model.front_end"]), ["model.hidden"]);
    }

    #[test]
    fn the_digest_is_of_what_may_not_change() {
        let digest = |text: &str| config_sha256(&table(text), &KEYS_THAT_MAY_CHANGE);
        assert_eq!(digest(OLD).len(), 64);
        assert_eq!(digest(OLD), digest(&OLD.replace("steps = 1000", "steps = 7").replace("cpu", "cuda")));
        assert_ne!(digest(OLD), digest(&OLD.replace("256", "257")));
        assert_ne!(digest(OLD), digest(&OLD.replace("norm", "bias")));
        assert_eq!(digest("a = 1\n[b]\nc = 2\nd = 3"), digest("b = { d = 3, c = 2 }\na = 1"));
    }
}
