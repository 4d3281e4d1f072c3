//! What a PyTorch file's pickle may hold: tensors and plain data.
//!
//! A pickle is a program, and loading it in Python runs what it says. Here nothing of it is run, ever: the parser knows
//! the few calls that rebuild tensors and leaves all others as the name of what would have been called. This module
//! refuses a file that has such a name where there is no honest reason for one, because the file is likely made to harm
//! those who load it elsewhere. It sees what the pickle results in: a call whose result the pickle throws away again
//! leaves no trace, and does nothing either.

use pytorch_reader::PickleValue;

/// How the parser names a tensor.
const TENSOR: &str = "torch.Tensor";

/// Packages whose objects training programs keep beside the weights: settings, counters, states of random generators.
const PACKAGES_OF_DATA: &[&str] = &[
    "torch",
    "numpy",
    "collections",
    "argparse",
    "pathlib",
    "datetime",
    "omegaconf",
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
];

/// Names outside these packages that stand for plain data.
const DATA: &[&str] = &[
    "int",
    "_codecs.encode",
    "copyreg._reconstructor",
    "copy_reg._reconstructor",
    "builtins.object",
    "__builtin__.object",
    "builtins.bytearray",
    "__builtin__.bytearray",
    "builtins.complex",
    "__builtin__.complex",
    "builtins.slice",
    "__builtin__.slice",
    "builtins.range",
    "__builtin__.range",
];

/// Whether a pickle's root is a dictionary with this key.
pub(super) fn has_key(root: &PickleValue, key: &str) -> bool {
    matches!(root, PickleValue::Dict(entries) if entries.contains_key(key))
}

/// Checks that the weights, which lie under `weights_key` or are all there is, hold nothing but tensors and plain data,
/// and what lies beside them nothing but data.
///
/// # Errors
/// Where another thing is, and what it is called.
pub(super) fn check_is_data(root: &PickleValue, weights_key: Option<&str>) -> Result<(), (String, String)> {
    let mut path = Vec::new();
    check(root, weights_key, weights_key.is_none(), &mut path)
}

fn check<'value>(
    value: &'value PickleValue,
    weights_key: Option<&str>,
    is_weights: bool,
    path: &mut Vec<&'value str>,
) -> Result<(), (String, String)> {
    match value {
        PickleValue::Dict(entries) => {
            // In order of name, so that the same file always gives the same message.
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            for (name, value) in entries {
                path.push(name);
                let is_weights = is_weights || weights_key == Some(name.as_str());
                check(value, None, is_weights, path)?;
                path.pop();
            }
            Ok(())
        }
        PickleValue::List(values) => values.iter().try_for_each(|value| check(value, None, is_weights, path)),
        PickleValue::Unsupported(name) if name == TENSOR => Ok(()),
        PickleValue::Unsupported(name) if !is_weights && is_data(name) => Ok(()),
        PickleValue::Unsupported(name) => {
            let place = if path.is_empty() { "the root".to_owned() } else { path.join(".") };
            Err((place, name.clone()))
        }
        _ => Ok(()),
    }
}

fn is_data(name: &str) -> bool {
    let package = name.split('.').next().unwrap_or(name);
    PACKAGES_OF_DATA.contains(&package) || DATA.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary<const N: usize>(entries: [(&str, PickleValue); N]) -> PickleValue {
        PickleValue::Dict(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn object(name: &str) -> PickleValue {
        PickleValue::Unsupported(name.into())
    }

    #[test]
    fn objects_of_training_programs_may_lie_beside_weights_and_not_among_them() {
        let weights = dictionary([("conv.weight", object(TENSOR)), ("epoch", PickleValue::Int(3))]);
        let settings = object("pytorch_lightning.utilities.parsing.AttributeDict");
        let beside = dictionary([("state_dict", weights), ("hyper_parameters", settings.clone())]);
        assert_eq!(check_is_data(&beside, Some("state_dict")), Ok(()));
        let among = dictionary([("state_dict", dictionary([("conv.weight", settings)]))]);
        let (place, found) = check_is_data(&among, Some("state_dict")).unwrap_err();
        assert_eq!(place, "state_dict.conv.weight");
        assert_eq!(found, "pytorch_lightning.utilities.parsing.AttributeDict");
    }

    #[test]
    fn calls_of_anything_else_are_refused_wherever_they_are() {
        for name in ["posix.system", "builtins.eval", "subprocess.Popen", "torchish.f", "builtins.getattr"] {
            assert!(!is_data(name), "{name}");
            let nested = dictionary([("notes", PickleValue::List(vec![PickleValue::None, object(name)]))]);
            assert_eq!(check_is_data(&nested, Some("state_dict")), Err(("notes".into(), name.into())));
            assert_eq!(check_is_data(&object(name), None), Err(("the root".into(), name.into())));
        }
    }
}
