//! The two records that go to guests in lists, lowered a list at a time.
//!
//! What wasmtime derives looks up and checks the guest's memory for each field: 104 times for the lists of one decision.
//! Here it is once for each list. Type check, flat form and single records stay the derived ones; the layout is
//! checked against the derived size, and by a test against the contract.

#![expect(unreachable_pub, reason = "named beside the generated bindings")]

use std::mem::MaybeUninit;

use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::bindings::words;

/// Defines a row around a derived record: the canonical ABI's size and alignment, and the offset of each field.
macro_rules! row {
    ($name:ident, $size:literal, $align:literal, { $($field:ident: $type:ty = $offset:literal),+ $(,)? }) => {
        #[doc = concat!("A `", stringify!($name), "` of the contract.")]
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub struct $name(pub words::$name);

        impl $name {
            /// In bytes.
            pub(crate) const SIZE: usize = $size;
            /// Name, offset and size of each field.
            pub(crate) const FIELDS: &[(&str, usize, usize)] =
                &[$((stringify!($field), $offset, size_of::<$type>())),+];

            #[inline]
            pub(crate) fn write(&self, row: &mut [u8; $size]) {
                // The names must be all of them.
                let words::$name { $($field),+ } = self.0;
                $(
                    let bytes = ($field as $type).to_le_bytes();
                    row[$offset..$offset + bytes.len()].copy_from_slice(&bytes);
                )+
            }
        }

        const _: () = assert!(<words::$name as ComponentType>::SIZE32 == $size);
        const _: () = assert!(<words::$name as ComponentType>::ALIGN32 == $align);

        // SAFETY: every part is that of the derived record inside.
        #[expect(unsafe_code, reason = "a component type is unsafe to implement; see the SAFETY line")]
        unsafe impl ComponentType for $name {
            type Lower = <words::$name as ComponentType>::Lower;
            const ABI: CanonicalAbiInfo = <words::$name as ComponentType>::ABI;

            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
                <words::$name as ComponentType>::typecheck(ty, types)
            }
        }

        // SAFETY: lifting is that of the derived record inside.
        #[expect(unsafe_code, reason = "lifting is unsafe to implement; see the SAFETY line")]
        unsafe impl Lift for $name {
            fn linear_lift_from_flat(
                cx: &mut LiftContext<'_>,
                ty: InterfaceType,
                src: &Self::Lower,
            ) -> wasmtime::Result<Self> {
                words::$name::linear_lift_from_flat(cx, ty, src).map(Self)
            }

            fn linear_lift_from_memory(
                cx: &mut LiftContext<'_>,
                ty: InterfaceType,
                bytes: &[u8],
            ) -> wasmtime::Result<Self> {
                words::$name::linear_lift_from_memory(cx, ty, bytes).map(Self)
            }
        }

        // SAFETY: single records are lowered as derived. A list is written through a slice of the guest's memory that is
        // checked to hold it, each field where the canonical ABI has it.
        #[expect(unsafe_code, reason = "lowering is unsafe to implement; see the SAFETY line")]
        unsafe impl Lower for $name {
            fn linear_lower_to_flat<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                ty: InterfaceType,
                dst: &mut MaybeUninit<Self::Lower>,
            ) -> wasmtime::Result<()> {
                self.0.linear_lower_to_flat(cx, ty, dst)
            }

            fn linear_lower_to_memory<T>(
                &self,
                cx: &mut LowerContext<'_, T>,
                ty: InterfaceType,
                offset: usize,
            ) -> wasmtime::Result<()> {
                self.0.linear_lower_to_memory(cx, ty, offset)
            }

            fn linear_store_list_to_memory<T>(
                cx: &mut LowerContext<'_, T>,
                _ty: InterfaceType,
                offset: usize,
                items: &[Self],
            ) -> wasmtime::Result<()> {
                let list = &mut cx.as_slice_mut()[offset..][..items.len() * $size];
                for (item, row) in items.iter().zip(list.as_chunks_mut::<$size>().0) {
                    item.write(row);
                }
                Ok(())
            }
        }
    };
}

row!(Candidate, 24, 8, {
    model: u32 = 0,
    backend: u32 = 4,
    tier: u8 = 8,
    health: u8 = 9,
    hosting: u8 = 10,
    warm: u8 = 11,
    free_slots: u32 = 12,
    estimated_cost: u64 = 16,
});

row!(ScopeState, 56, 8, {
    kind: u8 = 0,
    owner: u32 = 4,
    spent: u64 = 8,
    reserved: u64 = 16,
    limit: u64 = 24,
    hard: u64 = 32,
    window_end: u64 = 40,
    utilisation_permille: u32 = 48,
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a record's fields in the contract, in order.
    fn fields_of(record: &str) -> Vec<String> {
        let contract = include_str!("../../../wit/types.wit");
        let start = contract.find(&format!("record {record} {{")).expect("the contract has the record");
        contract[start..]
            .lines()
            .skip(1)
            .map(str::trim)
            .take_while(|line| *line != "}")
            .filter(|line| !line.starts_with("//"))
            .filter_map(|line| Some(line.split_once(':')?.0.replace('-', "_")))
            .collect()
    }

    /// Component model, Canonical ABI: each field at the next multiple of its own size.
    #[test]
    fn rows_have_the_fields_of_the_contract_where_the_canonical_abi_has_them() {
        for (record, row) in [("candidate", Candidate::FIELDS), ("scope-state", ScopeState::FIELDS)] {
            assert!(row.iter().map(|(name, ..)| *name).eq(fields_of(record)), "{record}");
            let mut end = 0_usize;
            for (name, offset, size) in row {
                assert_eq!(*offset, end.next_multiple_of(*size), "{record}.{name}");
                end = offset + size;
            }
        }
    }

    #[test]
    fn a_row_is_written_field_by_field_and_padding_stays_the_guests() {
        let row = ScopeState(words::ScopeState {
            kind: words::ScopeKind::Key,
            owner: 1,
            spent: 2,
            reserved: 3,
            limit: 4,
            hard: 5,
            window_end: u64::MAX,
            utilisation_permille: 6,
        });
        let mut bytes = [0xee; 56];
        row.write(&mut bytes);
        let mut expected = [0xee; 56];
        for field in ScopeState::FIELDS {
            expected[field.1..field.1 + field.2].fill(0);
        }
        (expected[0], expected[4], expected[8], expected[16]) = (6, 1, 2, 3);
        (expected[24], expected[32], expected[48]) = (4, 5, 6);
        expected[40..48].fill(0xff);
        assert_eq!(bytes, expected);
    }
}
