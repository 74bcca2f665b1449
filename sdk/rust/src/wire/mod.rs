//! The contract as a guest speaks it: generated bindings and the way to and from this crate's own types.
//! Exists in guests only.

/// The word of a number, named with all its words in order.
macro_rules! word {
    ($number:expr, $word:path { $($case:ident),+ $(,)? }) => {{
        use $word as Word;
        const {
            let words = [$(Word::$case as u8),+];
            let mut number = 0;
            while number < words.len() {
                assert!(words[number] as usize == number);
                number += 1;
            }
            assert!(size_of::<Word>() == 1);
        }
        // SAFETY: the host writes numbers of words only, in either lane, and the words are numbered so.
        unsafe { std::mem::transmute::<u8, Word>($number) }
    }};
}

mod convert;
mod guest;
pub(crate) mod host;
mod layout;
pub mod lent;
pub mod listed;

/// The types that all interfaces share.
pub mod types {
    wit_bindgen::generate!({
        inline: "package tollgate:sdk-types; world types-part { import tollgate:policy/types@0.1.0; }",
        path: "../../wit",
        world: "tollgate:sdk-types/types-part",
        generate_all,
        generate_unused_types: true,
    });
    pub use tollgate::policy::types::*;
}

/// Bindings of one part of a component: a world of one interface each, so that a component which is of
/// several kinds still has one `plugin`. `wit-component` puts the worlds together.
macro_rules! parts {
    ($($part:ident is $world:literal in $inline:literal;)+) => {$(
        pub mod $part {
            wit_bindgen::generate!({
                inline: $inline,
                path: "../../wit",
                world: $world,
                with: { "tollgate:policy/types@0.1.0": crate::wire::types },
                generate_all,
                pub_export_macro: true,
                export_macro_name: "export_part",
            });
        }
    )+};
}

parts! {
    plugin is "tollgate:sdk-plugin/plugin-part"
        in "package tollgate:sdk-plugin; world plugin-part { import tollgate:policy/facts@0.1.0; export tollgate:policy/plugin@0.1.0; }";
    kill_switch is "tollgate:sdk-kill-switch/kill-switch-part"
        in "package tollgate:sdk-kill-switch; world kill-switch-part { export tollgate:policy/kill-switch@0.1.0; }";
    retry_ceiling is "tollgate:sdk-retry-ceiling/retry-ceiling-part"
        in "package tollgate:sdk-retry-ceiling; world retry-ceiling-part { export tollgate:policy/retry-ceiling@0.1.0; }";
    routing is "tollgate:sdk-routing/routing-part"
        in "package tollgate:sdk-routing; world routing-part { export tollgate:policy/routing@0.1.0; }";
    budget is "tollgate:sdk-budget/budget-part"
        in "package tollgate:sdk-budget; world budget-part { export tollgate:policy/budget@0.1.0; }";
}
