//! The whole command against the published implementation.

use solfa_signal::testing::assert_golden;

use crate::common::{Stored, Workplace, fixture, float_tensors, tiny_muq};

#[test]
fn layers_of_muq_are_the_references() {
    let golden = |name: &str| float_tensors(&fixture("golden/muq-25hz").join(name));
    let (inputs, outputs) = (golden("inputs.safetensors"), golden("outputs.safetensors"));
    let (shape, samples) = &inputs["wav"];
    let workplace = Workplace::new();
    for item in 0..shape[0] {
        let size = samples.len() / shape[0];
        workplace.wav(&format!("{item}.wav"), 24_000, &samples[item * size..(item + 1) * size]);
    }
    let arguments = format!("embed --model {} --pool none --output out 0.wav 1.wav", tiny_muq());
    workplace.solfa(&arguments).assert().success();
    for item in 0..shape[0] {
        let found = Stored::read(&workplace.path(&format!("out/{item}.safetensors")));
        assert_eq!(found.tensors.len(), 3);
        for layer in 0..3 {
            let name = format!("layer_{layer}");
            let (shape, expected) = &outputs[&format!("hidden_{layer}")];
            assert_eq!(found.shape(&name), &shape[1..], "{name}");
            let size = expected.len() / shape[0];
            let expected = &expected[item * size..(item + 1) * size];
            assert_golden(&format!("{name} of item {item}"), found.values(&name), expected, 1e-4);
        }
    }
}
