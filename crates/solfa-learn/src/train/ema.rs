//! A teacher whose parameters are an exponential moving average of a student's (Tarvainen and Valpola 2017,
//! arXiv:1703.01780).
//!
//! A teacher is a module like the student, without gradients. It is saved and restored by
//! [`module_tensors`](crate::checkpoint::module_tensors) and [`restore_module`](crate::checkpoint::restore_module).

use burn::module::Module;
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::adam::{plain, plain_mut};
use super::parameters::{FloatMapper, FloatVisitor, map_floats, visit_floats};
use crate::checkpoint::settle_running_statistics;
use crate::device::is_cpu_without_autodiff;

/// Values that one thread works on at a time.
const CHUNK_VALUES: usize = 1 << 16;

/// What of a student a teacher follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmaScope {
    /// What is learned. Running statistics of norms stay the teacher's own: DINO, and the multi-view study's clustering.
    Parameters,
    /// Running statistics too: the multi-view study's BYOL.
    ParametersAndStatistics,
}

/// How a teacher's norms and dropout behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherMode {
    /// As in evaluation: running statistics, no dropout.
    Evaluation,
    /// As in training: statistics of the batch, which move the teacher's running statistics, and dropout.
    Training,
}

/// A copy of a student that needs no gradients and shares no running statistics with it. (A clone of a module shares
/// them.)
pub fn teacher_of<M: Module>(student: &M, mode: TeacherMode) -> M {
    let teacher = student.valid();
    match mode {
        TeacherMode::Evaluation => teacher,
        TeacherMode::Training => teacher.train().no_grad(),
    }
}

/// Moves a teacher towards its student: `momentum` of the teacher stays; with a momentum of 0 it has the student's bits. The student must be the module in training, whose
/// parameters need gradients; parameters that do not are taken for statistics.
///
/// # Panics
/// If teacher and student are not of one shape.
pub fn update_teacher<M: Module>(teacher: M, student: &M, momentum: f64, scope: EmaScope) -> M {
    if scope == EmaScope::ParametersAndStatistics {
        settle_running_statistics(student);
        settle_running_statistics(&teacher);
    }
    let mut gathering = Gathering { values: Vec::new(), scope };
    visit_floats(student, &mut gathering);
    let mut following = Following { values: gathering.values.into_iter(), weight: (1.0 - momentum) as f32 };
    map_floats(teacher, &mut following)
}

/// The student's tensors, by name; none where the teacher does not follow.
struct Gathering {
    values: Vec<(String, Option<Tensor<1>>)>,
    scope: EmaScope,
}

impl FloatVisitor for Gathering {
    fn visit<const D: usize>(&mut self, name: &str, tensor: &Tensor<D>) {
        let is_followed = self.scope == EmaScope::ParametersAndStatistics || tensor.is_require_grad();
        let flat = || tensor.clone().inner().reshape([tensor.shape().num_elements()]);
        self.values.push((name.to_owned(), is_followed.then(flat)));
    }
}

struct Following {
    values: std::vec::IntoIter<(String, Option<Tensor<1>>)>,
    weight: f32,
}

impl FloatMapper for Following {
    fn map<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Tensor<D> {
        let followed = match self.values.next() {
            Some((followed, values)) if followed == name => values,
            other => panic!("the teacher has {name} where the student has {:?}", other.map(|(name, _)| name)),
        };
        let Some(student) = followed else { return tensor };
        let (shape, device, dtype) = (tensor.shape(), tensor.device(), tensor.dtype());
        if is_cpu_without_autodiff(&device) && dtype == DType::F32 {
            let mut data = tensor.into_data();
            follow(plain_mut(&mut data), plain(&student.into_data_as::<f32>()), self.weight);
            return Tensor::from_data(data, (&device, dtype));
        }
        if self.weight == 1.0 {
            return student.reshape(shape).cast(dtype);
        }
        let teacher = tensor.reshape([shape.num_elements()]).cast(DType::F32);
        let moved = (student.cast(DType::F32) - teacher.clone()) * self.weight + teacher;
        moved.reshape(shape).cast(dtype)
    }
}

/// Moves by a share of the difference, which leaves what is equal as it is. A whole difference is a copy, without rounding.
fn follow(teacher: &mut [f32], student: &[f32], weight: f32) {
    assert_eq!(teacher.len(), student.len(), "teacher and student have another number of values");
    if weight == 1.0 {
        return teacher.copy_from_slice(student);
    }
    let follow = |(teacher, student): (&mut [f32], &[f32])| {
        teacher.iter_mut().zip(student).for_each(|(teacher, student)| *teacher += weight * (student - *teacher));
    };
    if teacher.len() <= CHUNK_VALUES {
        return follow((teacher, student));
    }
    teacher.par_chunks_mut(CHUNK_VALUES).zip(student.par_chunks(CHUNK_VALUES)).for_each(follow);
}

#[cfg(test)]
mod tests {
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;
    use crate::checkpoint::{TensorSource, module_tensors, restore_module, stage_tensors};
    use crate::device::test_device;

    #[derive(Module, Debug)]
    struct Small {
        linear: Linear,
        norm: BatchNorm,
    }

    fn small(device: &Device) -> Small {
        Small { linear: LinearConfig::new(2, 3).init(device), norm: BatchNormConfig::new(3).init(device) }
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.inner().into_data().try_to_vec().unwrap()
    }

    fn forward(module: &Small, device: &Device) -> Tensor<2> {
        let input = Tensor::<2>::from_floats([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.25]], device);
        module.norm.forward(module.linear.forward(input))
    }

    fn weight(module: &Small) -> Vec<f32> {
        floats(module.linear.weight.val())
    }

    fn mean(module: &Small) -> Vec<f32> {
        floats(module.norm.running_mean.value_sync())
    }

    #[test]
    fn a_teacher_follows_by_the_share_that_is_not_momentum() {
        let device = test_device().autodiff();
        let first = small(&device);
        let teacher = teacher_of(&first, TeacherMode::Evaluation);
        assert_eq!(weight(&teacher), weight(&first));
        assert!(!teacher.linear.weight.val().is_autodiff());
        let student = small(&device);
        let teacher = update_teacher(teacher, &student, 0.75, EmaScope::Parameters);
        let expected: Vec<f32> =
            weight(&first).iter().zip(weight(&student)).map(|(old, new)| old + 0.25 * (new - old)).collect();
        assert_eq!(weight(&teacher), expected);
        assert_eq!(weight(&update_teacher(teacher.clone(), &student, 1.0, EmaScope::Parameters)), expected);
        let still = update_teacher(teacher, &student, 0.0, EmaScope::Parameters);
        let still = update_teacher(still, &student, 0.3, EmaScope::Parameters);
        let differences = weight(&still).into_iter().zip(weight(&student)).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f32::max) < 1e-7);
    }

    #[test]
    fn statistics_follow_where_they_are_asked_to() {
        let device = test_device().autodiff();
        let student = small(&device);
        let teacher = teacher_of(&student, TeacherMode::Evaluation);
        forward(&student, &device);
        assert_eq!(mean(&teacher), [0.0; 3], "a teacher has statistics of its own");
        let teacher = update_teacher(teacher, &student, 0.5, EmaScope::Parameters);
        assert_eq!(mean(&teacher), [0.0; 3]);
        forward(&student, &device);
        let teacher = update_teacher(teacher, &student, 0.5, EmaScope::ParametersAndStatistics);
        let half: Vec<f32> = mean(&student).iter().map(|value| 0.5 * value).collect();
        assert_eq!(mean(&teacher), half);
        assert!(half.iter().any(|value| *value != 0.0));
        assert!(student.linear.weight.val().is_require_grad(), "the student goes on learning");
    }

    #[test]
    fn a_teacher_in_training_uses_the_batch_and_has_no_gradients() {
        let device = test_device().autodiff();
        let student = small(&device);
        let teacher = teacher_of(&student, TeacherMode::Training);
        let output = forward(&teacher, &device);
        assert!(!output.is_tracked() && !teacher.linear.weight.val().is_require_grad());
        assert_eq!(floats(output), floats(forward(&student, &device)));
        assert!(mean(&teacher).iter().any(|value| *value != 0.0));
        let moved = update_teacher(teacher, &student, 0.9, EmaScope::ParametersAndStatistics);
        assert!(!forward(&moved, &device).is_tracked());
    }

    #[test]
    fn large_tensors_are_followed_in_chunks_as_small_ones() {
        let length = 2 * CHUNK_VALUES + 3;
        let student: Vec<f32> = (0..length).map(|number| (number as f32).sin()).collect();
        let mut teacher = vec![0.5; length];
        follow(&mut teacher, &student, 0.25);
        assert!(teacher.iter().zip(&student).all(|(teacher, student)| *teacher == 0.5 + 0.25 * (student - 0.5)));
    }

    #[test]
    fn a_teacher_is_saved_and_restored_bit_for_bit() {
        let device = test_device().autodiff();
        let student = small(&device);
        forward(&student, &device);
        let teacher = teacher_of(&small(&device), TeacherMode::Evaluation);
        let teacher = update_teacher(teacher, &student, 0.99, EmaScope::ParametersAndStatistics);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        stage_tensors(path.clone(), module_tensors(&teacher, "teacher")).unwrap().0.commit().unwrap();
        let source = TensorSource::open_safetensors(&[path]).unwrap();
        let fresh = teacher_of(&student, TeacherMode::Evaluation);
        let restored = restore_module(fresh, "teacher", &source).unwrap();
        assert_eq!((weight(&restored), mean(&restored)), (weight(&teacher), mean(&teacher)));
        let [next, expected] = [restored, teacher]
            .map(|teacher| weight(&update_teacher(teacher, &student, 0.99, EmaScope::ParametersAndStatistics)));
        assert_eq!(next, expected);
    }
}
