//! A checkpoint's folder as it is written: the tensors of modules under the names of a layout, and files that appear
//! together or not at all.

use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use fs_err as fs;
use serde::Serialize;

use super::staged_file::{StagedFile, write_error};
use super::strict::is_linear_weight;
use super::tensor_file::stage_tensors;
use super::{
    CheckpointError, KeyTable, NamedTensor, TensorValues, module_tensors::settle_running_statistics, pytorch_file,
};

/// A module's tensors under the names of a table; weights of linear layers are `[output, input]`.
///
/// # Panics
/// If the module has parameters that are no floats.
pub(super) fn named_tensors<M: Module>(module: &M, table: KeyTable) -> Vec<NamedTensor<'static>> {
    settle_running_statistics(module);
    let mut gatherer = Gatherer { table, path: Vec::new(), containers: Vec::new(), tensors: Vec::new() };
    module.visit(&mut gatherer);
    gatherer.tensors
}

/// Walks a module.
struct Gatherer {
    table: KeyTable,
    path: Vec<String>,
    containers: Vec<String>,
    tensors: Vec<NamedTensor<'static>>,
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
        let tensor = param.val().inner();
        let is_transposed = is_linear_weight::<D>(&self.path, &self.containers);
        let tensor = if is_transposed { tensor.swap_dims(0, 1) } else { tensor };
        let (shape, length) = (tensor.dims().to_vec(), tensor.shape().num_elements());
        let values = TensorValues::Tensor(Box::new(tensor.reshape([length])));
        self.tensors.push(NamedTensor { name: self.table.foreign_name(&self.path), shape, values });
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        panic!("{} is an integer parameter, which no checkpoint holds", self.path.join("."));
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        panic!("{} is a boolean parameter, which no checkpoint holds", self.path.join("."));
    }
}

/// The files of a checkpoint that is being written. They lie in the folder under temporary names until
/// [`commit`](Self::commit); without it they are removed again, and so are folders that were made for them.
pub(super) struct CheckpointFolder {
    path: PathBuf,
    weights: Option<StagedFile>,
    /// Files beside the weights.
    others: Vec<StagedFile>,
    /// Folders that were not there before, outermost first.
    made: Vec<PathBuf>,
}

impl CheckpointFolder {
    /// Makes the folder, if it is not there.
    pub(super) fn begin(path: &Path) -> Result<Self, CheckpointError> {
        let mut folder = Self { path: path.to_owned(), weights: None, others: Vec::new(), made: Vec::new() };
        folder.make(path.to_owned())?;
        Ok(folder)
    }

    /// Makes a folder with those around it, and remembers which of them were not there.
    fn make(&mut self, path: PathBuf) -> Result<(), CheckpointError> {
        let is_absent = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let mut absent: Vec<PathBuf> = path.ancestors().take_while(is_absent).map(Path::to_owned).collect();
        absent.reverse();
        self.made.extend(absent);
        fs::create_dir_all(&path).map_err(|source| write_error(&path, source))
    }

    /// That the configuration cannot be written.
    pub(super) fn config_error(&self, reason: String) -> CheckpointError {
        CheckpointError::Config { path: self.path.join("config.json"), reason }
    }

    /// The weights, as a safetensors file.
    pub(super) fn safetensors(&mut self, name: &str, tensors: Vec<NamedTensor<'_>>) -> Result<(), CheckpointError> {
        self.weights = Some(stage_tensors(self.path.join(name), tensors)?.0);
        Ok(())
    }

    /// The weights, as a PyTorch file with one key on top.
    pub(super) fn pytorch(
        &mut self,
        name: &str,
        top_level_key: &str,
        tensors: Vec<NamedTensor<'_>>,
    ) -> Result<(), CheckpointError> {
        self.weights = Some(pytorch_file::stage(self.path.join(name), top_level_key, tensors)?);
        Ok(())
    }

    /// A file of JSON beside the weights; the last one is committed last.
    pub(super) fn json(&mut self, name: &str, value: &impl Serialize) -> Result<(), CheckpointError> {
        let mut text = serde_json::to_vec_pretty(value)
            .map_err(|error| write_error(&self.path.join(name), std::io::Error::other(error)))?;
        text.push(b'\n');
        self.bytes(name, &text)
    }

    /// Any file beside the weights, or in a folder beside them.
    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            self.make(folder.to_owned())?;
        }
        self.others.push(StagedFile::write(path, bytes)?);
        Ok(())
    }

    /// Gives all files their names, those of another checkpoint's being replaced, and tells the names.
    ///
    /// All are whole on the disk before one has its name, and what lay beside the weights is gone before these are
    /// replaced: whenever the program is killed, weights never stand beside the configuration of others.
    pub(super) fn commit(mut self) -> Result<Vec<PathBuf>, CheckpointError> {
        self.others.iter().try_for_each(StagedFile::remove_target)?;
        let files: Vec<StagedFile> = self.weights.take().into_iter().chain(std::mem::take(&mut self.others)).collect();
        let mut paths = Vec::with_capacity(files.len());
        for file in files {
            paths.push(file.path().to_owned());
            file.commit()?;
        }
        self.made.clear();
        Ok(paths)
    }
}

impl Drop for CheckpointFolder {
    fn drop(&mut self) {
        self.weights = None;
        self.others.clear();
        // A folder that someone else put something into stays.
        self.made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_committed_leaves_no_file_and_no_folder() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("new/model");
        let mut folder = CheckpointFolder::begin(&target).unwrap();
        folder.bytes("tower/config.json", b"{}").unwrap();
        folder.json("config.json", &1).unwrap();
        assert!(target.join("tower/.config.json.partial").is_file());
        drop(folder);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);

        let mut folder = CheckpointFolder::begin(&target).unwrap();
        folder.json("config.json", &1).unwrap();
        assert_eq!(folder.commit().unwrap(), [target.join("config.json")]);
        let mut folder = CheckpointFolder::begin(&target).unwrap();
        folder.json("config.json", &2).unwrap();
        // A name that no file can have.
        assert!(folder.bytes("config.json/x", b"").is_err());
        drop(folder);
        assert_eq!(fs::read(target.join("config.json")).unwrap(), b"1\n");
        assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    }
}
