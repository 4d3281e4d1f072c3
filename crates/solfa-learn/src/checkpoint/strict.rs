//! Strict loading: every tensor of the model is filled, and every tensor of the file is accounted for.

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Bool, Int, Tensor};

use super::{CheckpointError, TensorSource, error::Mismatch};

/// How a released model names the tensors of one of our modules, as data.
#[derive(Clone, Copy, Debug)]
pub struct KeyTable {
    /// What every name begins with.
    pub prefix: &'static str,
    /// Our name of a path segment, and theirs. A segment that is not listed has the same name in both; theirs is empty
    /// where they have no such segment.
    pub segments: &'static [(&'static str, &'static str)],
    /// Tensors of the file that this model does not use, each with the reason. A name that begins or ends with `*`
    /// stands for all names with that end or beginning. Names are whole, prefix included.
    pub unused: &'static [(&'static str, &'static str)],
}

impl KeyTable {
    /// Their name of the tensor at one of our paths.
    pub(super) fn foreign_name(&self, path: &[String]) -> String {
        let theirs = path.iter().map(|segment| {
            let known = self.segments.iter().find(|(ours, _)| ours == segment);
            known.map_or(segment.as_str(), |(_, theirs)| theirs)
        });
        let segments: Vec<&str> = theirs.filter(|segment| !segment.is_empty()).collect();
        format!("{}{}", self.prefix, segments.join("."))
    }

    fn is_known_unused(&self, name: &str) -> bool {
        self.unused.iter().any(|(pattern, _)| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (None, Some(beginning)) => name.starts_with(beginning),
            (None, None) => name == *pattern,
        })
    }
}

/// Fills modules from one source and keeps account of every name.
pub(super) struct StrictLoader<'source> {
    source: &'source TensorSource,
    used: HashSet<String>,
    mismatch: Mismatch,
    unreadable: Option<CheckpointError>,
    unused: Vec<KeyTable>,
    root: String,
}

impl<'source> StrictLoader<'source> {
    pub(super) fn new(source: &'source TensorSource) -> Self {
        Self::below(source, String::new())
    }

    /// The same for a file that has `root` before every name that the tables and [`take`](Self::take) say.
    pub(super) fn below(source: &'source TensorSource, root: String) -> Self {
        let (used, mismatch) = (HashSet::new(), Mismatch::default());
        Self { source, used, mismatch, unreadable: None, unused: Vec::new(), root }
    }

    /// The module with all of its tensors replaced by the file's.
    pub(super) fn fill<M: Module>(&mut self, module: M, table: KeyTable) -> M {
        self.unused.push(table);
        module.map(&mut Filler { loader: self, table, path: Vec::new(), containers: Vec::new() })
    }

    /// The values of one tensor that belongs to no module; none where it is wrong, which [`finish`](Self::finish) says.
    pub(super) fn take(&mut self, name: &str, expected: &[usize]) -> Option<Vec<f32>> {
        let name = &format!("{}{name}", self.root);
        match self.source.shape(name) {
            None => self.mismatch.missing.push((name.to_owned(), expected.to_vec())),
            Some(found) => {
                self.used.insert(name.to_owned());
                if let Some(found) = self.source.type_other_than_float(name) {
                    self.mismatch.not_floats.push((name.to_owned(), found));
                    return None;
                }
                if found == expected {
                    let values = self.source.read(name).map(|data| data.try_to_vec::<f32>().unwrap_or_default());
                    return values.map_err(|error| self.unreadable.get_or_insert(error)).ok();
                }
                self.mismatch.mis_shaped.push((name.to_owned(), expected.to_vec(), found.to_vec()));
            }
        }
        None
    }

    /// Whether everything fitted. Gives the names of tensors outside the root, which belong to something else than what
    /// was loaded.
    ///
    /// # Errors
    /// What did not: unreadable data first, else the whole list of names.
    pub(super) fn finish(mut self) -> Result<Vec<String>, CheckpointError> {
        if let Some(error) = self.unreadable {
            return Err(error);
        }
        let mut outside = Vec::new();
        for (name, shape) in self.source.shapes() {
            let Some(below_root) = name.strip_prefix(&self.root) else {
                outside.push(name.to_owned());
                continue;
            };
            if !self.used.contains(name) && !self.unused.iter().any(|table| table.is_known_unused(below_root)) {
                self.mismatch.unexpected.push((name.to_owned(), shape.to_vec()));
            }
        }
        if self.mismatch.is_empty() {
            return Ok(outside);
        }
        Err(CheckpointError::Mismatch { path: self.source.files()[0].clone(), mismatch: Box::new(self.mismatch) })
    }
}

/// Whether a parameter is a linear layer's weight, which Burn keeps as `[input, output]` and PyTorch as
/// `[output, input]`.
pub(super) fn is_linear_weight<const D: usize>(path: &[String], containers: &[String]) -> bool {
    D == 2
        && containers.last().is_some_and(|container| container == "Struct:Linear")
        && path.last().is_some_and(|field| field == "weight")
}

/// Walks one module.
struct Filler<'loader, 'source> {
    loader: &'loader mut StrictLoader<'source>,
    table: KeyTable,
    path: Vec<String>,
    containers: Vec<String>,
}

impl ModuleMapper for Filler<'_, '_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container_type.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = format!("{}{}", self.loader.root, self.table.foreign_name(&self.path));
        let is_transposed = is_linear_weight::<D>(&self.path, &self.containers);
        let mut expected = param.lazy_shape().to_vec();
        if is_transposed {
            expected.reverse();
        }
        let Some(found) = self.loader.source.shape(&name) else {
            self.loader.mismatch.missing.push((name, expected));
            return param;
        };
        let found = found.to_vec();
        self.loader.used.insert(name.clone());
        if let Some(found) = self.loader.source.type_other_than_float(&name) {
            self.loader.mismatch.not_floats.push((name, found));
            return param;
        }
        if found != expected {
            self.loader.mismatch.mis_shaped.push((name, expected, found));
            return param;
        }
        match self.loader.source.read(&name) {
            Err(error) => {
                self.loader.unreadable.get_or_insert(error);
                param
            }
            Ok(data) => {
                let tensor = Tensor::<D>::from_data(data, &param.lazy_device());
                let tensor = if is_transposed { tensor.swap_dims(0, 1) } else { tensor };
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
        }
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.loader.mismatch.missing.push((format!("{} (an integer parameter)", self.path.join(".")), Vec::new()));
        param
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.loader.mismatch.missing.push((format!("{} (a boolean parameter)", self.path.join(".")), Vec::new()));
        param
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: KeyTable = KeyTable {
        prefix: "model.",
        segments: &[("norm", "layer_norm"), ("gamma", "weight"), ("LayerNorm", "")],
        unused: &[
            ("model.cls_token", "a reason"),
            ("model.position.*", "a reason"),
            ("*.num_batches_tracked", "a reason"),
        ],
    };

    #[test]
    fn names_are_translated_segment_by_segment() {
        let path = ["layers", "0", "norm", "gamma"].map(str::to_owned);
        assert_eq!(TABLE.foreign_name(&path), "model.layers.0.layer_norm.weight");
        let path = ["layers", "0", "norm", "LayerNorm", "gamma"].map(str::to_owned);
        assert_eq!(TABLE.foreign_name(&path), "model.layers.0.layer_norm.weight");
    }

    #[test]
    fn only_listed_names_are_known_to_be_unused() {
        for name in ["model.cls_token", "model.position.conv.bias", "model.layers.0.bn.num_batches_tracked"] {
            assert!(TABLE.is_known_unused(name), "{name}");
        }
        for name in ["model.cls_token2", "model.positions", "num_batches_tracked"] {
            assert!(!TABLE.is_known_unused(name), "{name}");
        }
    }
}
