//! Returns the address of a verdict outside of its memory.

use plain_policy::Guest;

// Only the types: the export below takes the place of the generated one, which could not say this.
wit_bindgen::generate!({
    inline: "
        package tollgate:astray-result;

        world part {
            export tollgate:policy/retry-ceiling@0.1.0;
        }
    ",
    path: "../../../wit",
    world: "tollgate:astray-result/part",
    generate_all,
});

struct AstrayResult;

impl Guest for AstrayResult {}

plain_policy::export!(AstrayResult as);

#[repr(C, align(8))]
struct Memory([u8; 32]);

static PROCEED: Memory = Memory([0; 32]);

#[expect(clippy::too_many_arguments, reason = "the contract's facts, flattened as the canonical ABI has them")]
#[unsafe(export_name = "tollgate:policy/retry-ceiling@0.1.0#evaluate")]
extern "C" fn evaluate(
    _now: u64,
    _waited_ms: u32,
    _task_type: u32,
    _stage: u32,
    _priority: u32,
    _approved: u32,
    _attempts: u32,
    _streak: u32,
    _streak_elapsed_ms: u64,
    _since_failure_ms: u64,
    _fast_failures: u32,
    _rejections: u32,
    _failed_tier: u32,
    _repetition: u32,
    _repetitions: u32,
    input_tokens: u64,
) -> *const u8 {
    if plain_policy::hostile_to(input_tokens) { std::ptr::without_provenance(0xffff_fff8) } else { PROCEED.0.as_ptr() }
}
