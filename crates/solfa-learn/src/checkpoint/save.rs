//! Checkpoints of the project's own: `config.json` and `model.safetensors`, as a pair.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use fs_err as fs;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::staged_file::{StagedFile, write_error};
use super::strict::is_linear_weight;
use super::{CheckpointError, KeyTable};

/// Writes a module's tensors, as 32-bit floats under the names of the table, and its configuration.
///
/// Both files are whole on the disk before either has its name, and a configuration that was there is gone before the
/// weights are replaced: whenever the program is killed, weights never stand beside the configuration of others.
///
/// # Errors
/// A file that cannot be written.
///
/// # Panics
/// If the module has parameters that are no floats.
pub(super) fn save<M: Module>(
    folder: &Path,
    config: &[u8],
    module: &M,
    table: KeyTable,
) -> Result<(), CheckpointError> {
    fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    let weights_path = folder.join("model.safetensors");
    let weights =
        serialized(module, table).map_err(|error| write_error(&weights_path, std::io::Error::other(error)))?;
    let weights = StagedFile::write(weights_path, &weights)?;
    let config = StagedFile::write(folder.join("config.json"), config)?;
    config.remove_target()?;
    weights.commit()?;
    config.commit()
}

/// A safetensors file's bytes: the same for the same tensors.
fn serialized<M: Module>(module: &M, table: KeyTable) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let mut gatherer = Gatherer { table, path: Vec::new(), containers: Vec::new(), tensors: Vec::new() };
    module.visit(&mut gatherer);
    let views = gatherer
        .tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    safetensors::serialize(views, None)
}

/// Walks a module.
struct Gatherer {
    table: KeyTable,
    path: Vec<String>,
    containers: Vec<String>,
    /// Name, shape and bytes.
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
}

impl ModuleVisitor for Gatherer {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container_type.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let is_transposed = is_linear_weight::<D>(&self.path, &self.containers);
        let tensor = if is_transposed { tensor.swap_dims(0, 1) } else { tensor };
        let shape = tensor.dims().to_vec();
        let bytes = tensor.into_data().convert::<f32>().iter::<f32>().flat_map(f32::to_le_bytes).collect();
        self.tensors.push((self.table.foreign_name(&self.path), shape, bytes));
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        panic!("{} is an integer parameter, which no checkpoint holds", self.path.join("."));
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        panic!("{} is a boolean parameter, which no checkpoint holds", self.path.join("."));
    }
}
