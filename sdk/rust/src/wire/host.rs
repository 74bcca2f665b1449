//! The contract's import, in this crate's types.

use super::plugin::tollgate::policy::facts as imported;
use crate::{Model, NameKind, Reference, ReferenceKind, Symbol};

pub(crate) fn intern(name: &str) -> Symbol {
    Symbol::from_u32(imported::intern(name))
}

pub(crate) fn resolve(symbol: Symbol) -> Option<String> {
    imported::resolve(symbol.as_u32())
}

pub(crate) fn models() -> Vec<Model> {
    let model = |model: imported::Model| Model { name: Symbol::from_u32(model.name), tier: model.tier.into() };
    imported::models().into_iter().map(model).collect()
}

pub(crate) fn names(kind: NameKind) -> Vec<Symbol> {
    let kind = match kind {
        NameKind::TaskType => imported::NameKind::TaskType,
        NameKind::Stage => imported::NameKind::Stage,
        NameKind::Backend => imported::NameKind::Backend,
    };
    imported::names(kind).into_iter().map(Symbol::from_u32).collect()
}

pub(crate) fn tag(name: Symbol) -> Option<Symbol> {
    imported::tag(name.as_u32()).map(Symbol::from_u32)
}

pub(crate) fn number(counter: Symbol) -> Option<u64> {
    imported::number(counter.as_u32())
}

pub(crate) fn identity(kind: ReferenceKind) -> Option<Reference> {
    let kind = match kind {
        ReferenceKind::Run => imported::ReferenceKind::Run,
        ReferenceKind::Task => imported::ReferenceKind::Task,
        ReferenceKind::User => imported::ReferenceKind::User,
        ReferenceKind::Key => imported::ReferenceKind::Key,
        ReferenceKind::Sample => imported::ReferenceKind::Sample,
    };
    imported::identity(kind).map(Reference::new)
}
