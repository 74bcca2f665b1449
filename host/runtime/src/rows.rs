//! The two records that go to guests in lists, laid out as both lanes want them: the canonical ABI's size, and each field
//! where the canonical ABI has it. A test holds the layout against the contract.

use crate::bindings::words;

/// Defines the row of a record: size and alignment, and the offset of each field.
macro_rules! row {
    ($module:ident of $record:ident, $size:literal, $align:literal, { $($field:ident: $type:ty = $offset:literal),+ $(,)? }) => {
        #[doc = concat!("A `", stringify!($record), "` of the contract.")]
        pub(crate) mod $module {
            use wasmtime::component::ComponentType;

            use super::words::$record;

            /// In bytes.
            pub(crate) const SIZE: usize = $size;
            /// Of a list.
            pub(crate) const ALIGN: u32 = $align;
            /// Name, offset and size of each field.
            pub(crate) const FIELDS: &[(&str, usize, usize)] =
                &[$((stringify!($field), $offset, size_of::<$type>())),+];

            #[inline]
            pub(crate) fn write(record: &$record, row: &mut [u8; SIZE]) {
                // The names must be all of them.
                let $record { $($field),+ } = *record;
                $(
                    let bytes = ($field as $type).to_le_bytes();
                    row[$offset..$offset + bytes.len()].copy_from_slice(&bytes);
                )+
            }

            const _: () = assert!(<$record as ComponentType>::SIZE32 == SIZE);
            const _: () = assert!(<$record as ComponentType>::ALIGN32 == ALIGN);
        }
    };
}

row!(candidate of Candidate, 24, 8, {
    model: u32 = 0,
    backend: u32 = 4,
    tier: u8 = 8,
    health: u8 = 9,
    hosting: u8 = 10,
    warm: u8 = 11,
    free_slots: u32 = 12,
    estimated_cost: u64 = 16,
});

row!(scope_state of ScopeState, 56, 8, {
    kind: u8 = 0,
    owner: u32 = 4,
    spent: u64 = 8,
    reserved: u64 = 16,
    limit: u64 = 24,
    hard: u64 = 32,
    window_end: u64 = 40,
    utilisation_permille: u32 = 48,
});

/// Writes as many as there is room for, and counts them.
#[inline]
pub(crate) fn fill<Record, const SIZE: usize>(
    room: &mut [[u8; SIZE]],
    records: impl Iterator<Item = Record>,
    write: impl Fn(&Record, &mut [u8; SIZE]),
) -> u32 {
    let mut count = 0;
    for (record, row) in records.zip(room) {
        write(&record, row);
        count += 1;
    }
    count
}

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
        for (record, row) in [("candidate", candidate::FIELDS), ("scope-state", scope_state::FIELDS)] {
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
        let state = words::ScopeState {
            kind: words::ScopeKind::Key,
            owner: 1,
            spent: 2,
            reserved: 3,
            limit: 4,
            hard: 5,
            window_end: u64::MAX,
            utilisation_permille: 6,
        };
        let mut bytes = [0xee; 56];
        scope_state::write(&state, &mut bytes);
        let mut expected = [0xee; 56];
        for field in scope_state::FIELDS {
            expected[field.1..field.1 + field.2].fill(0);
        }
        (expected[0], expected[4], expected[8], expected[16]) = (6, 1, 2, 3);
        (expected[24], expected[32], expected[48]) = (4, 5, 6);
        expected[40..48].fill(0xff);
        assert_eq!(bytes, expected);
    }
}
