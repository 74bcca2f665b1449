//! `tollgate:policy/facts` for a core module: the same functions on the same [`State`], with the canonical ABI's way of
//! passing strings, lists and options done by hand. Off the hot path, but for the three lazy facts.

use wasmtime::{Caller, Extern, Linker};

use crate::bindings::facts::{Host, Model, NameKind, ReferenceKind};
use crate::state::State;

const FACTS: &str = "tollgate:policy/facts@0.1.0";
/// The longest string that is read from a guest here; [`State`] allows less.
const MAX_STRING_BYTES: usize = 64 << 10;

/// Where a function's result goes that does not fit a register.
type Place = u32;

type Result<T> = wasmtime::Result<T>;

pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    linker
        .func_wrap(FACTS, "intern", intern)?
        .func_wrap(FACTS, "models", models)?
        .func_wrap(FACTS, "names", names)?
        .func_wrap(FACTS, "resolve", resolve)?
        .func_wrap(FACTS, "tag", tag)?
        .func_wrap(FACTS, "number", number)?
        .func_wrap(FACTS, "identity", identity)?;
    Ok(())
}

fn intern(mut caller: Caller<'_, State>, place: u32, bytes: u32) -> Result<u32> {
    let name = Guest::of(&mut caller)?.string(&mut caller, place, bytes, MAX_STRING_BYTES)?;
    caller.data_mut().intern(name)
}

fn models(mut caller: Caller<'_, State>, result: Place) -> Result<()> {
    let models = caller.data_mut().models()?;
    let row = |model: &Model| {
        let [a, b, c, d] = model.name.to_le_bytes();
        [a, b, c, d, model.tier as u8, 0, 0, 0]
    };
    let bytes = models.iter().flat_map(row).collect();
    Guest::of(&mut caller)?.return_list(&mut caller, result, bytes, models.len(), 4)
}

fn names(mut caller: Caller<'_, State>, kind: u32, result: Place) -> Result<()> {
    let kind = match kind {
        0 => NameKind::TaskType,
        1 => NameKind::Stage,
        2 => NameKind::Backend,
        _ => return Err(no_case("name-kind", kind)),
    };
    let names = caller.data_mut().names(kind)?;
    let bytes = names.iter().flat_map(|name| name.to_le_bytes()).collect();
    Guest::of(&mut caller)?.return_list(&mut caller, result, bytes, names.len(), 4)
}

fn resolve(mut caller: Caller<'_, State>, symbol: u32, result: Place) -> Result<()> {
    let name = caller.data_mut().resolve(symbol)?;
    let guest = Guest::of(&mut caller)?;
    guest.write(&mut caller, result, &[u8::from(name.is_some())])?;
    let Some(name) = name else { return Ok(()) };
    let bytes = name.len();
    guest.return_list(&mut caller, result.wrapping_add(4), name.into_bytes(), bytes, 1)
}

fn tag(mut caller: Caller<'_, State>, name: u32, result: Place) -> Result<()> {
    let value = caller.data_mut().tag(name)?;
    let mut option = [0; 8];
    option[0] = u8::from(value.is_some());
    option[4..].copy_from_slice(&value.unwrap_or(0).to_le_bytes());
    Guest::of(&mut caller)?.write(&mut caller, result, &option)
}

fn number(mut caller: Caller<'_, State>, counter: u32, result: Place) -> Result<()> {
    let value = caller.data_mut().number(counter)?;
    Guest::of(&mut caller)?.write(&mut caller, result, &option_of_u64(value))
}

fn identity(mut caller: Caller<'_, State>, kind: u32, result: Place) -> Result<()> {
    let kind = match kind {
        0 => ReferenceKind::Run,
        1 => ReferenceKind::Task,
        2 => ReferenceKind::User,
        3 => ReferenceKind::Key,
        4 => ReferenceKind::Sample,
        _ => return Err(no_case("reference-kind", kind)),
    };
    let value = caller.data_mut().identity(kind)?;
    Guest::of(&mut caller)?.write(&mut caller, result, &option_of_u64(value))
}

fn option_of_u64(value: Option<u64>) -> [u8; 16] {
    let mut option = [0; 16];
    option[0] = u8::from(value.is_some());
    option[8..].copy_from_slice(&value.unwrap_or(0).to_le_bytes());
    option
}

fn no_case(of: &str, number: u32) -> wasmtime::Error {
    wasmtime::Error::msg(format!("{number} is no case of `{of}`"))
}

/// A calling guest's memory.
#[derive(Clone, Copy)]
struct Guest {
    memory: wasmtime::Memory,
}

impl Guest {
    fn of(caller: &mut Caller<'_, State>) -> Result<Self> {
        match caller.get_export("memory") {
            Some(Extern::Memory(memory)) => Ok(Self { memory }),
            _ => Err(wasmtime::Error::msg("it exports no memory")),
        }
    }

    fn string(self, caller: &mut Caller<'_, State>, place: u32, bytes: u32, most: usize) -> Result<String> {
        let text = read(self.memory.data(&*caller), place, bytes, most)?;
        Ok(std::str::from_utf8(text).map_err(wasmtime::Error::new)?.to_owned())
    }

    fn write(self, caller: &mut Caller<'_, State>, place: u32, bytes: &[u8]) -> Result<()> {
        self.memory.write(caller, place as usize, bytes).map_err(|_| outside())
    }

    /// Puts a list of rows of that alignment into memory that the guest allocates, and its place and length where the guest
    /// looks for them.
    fn return_list(
        self,
        caller: &mut Caller<'_, State>,
        result: Place,
        bytes: Vec<u8>,
        count: usize,
        align: u32,
    ) -> Result<()> {
        let Some(Extern::Func(allocate)) = caller.get_export("cabi_realloc") else {
            return Err(wasmtime::Error::msg("it exports no `cabi_realloc`"));
        };
        let size = u32::try_from(bytes.len())?;
        let place = match size {
            0 => align,
            size => allocate.typed::<(u32, u32, u32, u32), u32>(&*caller)?.call(&mut *caller, (0, 0, align, size))?,
        };
        self.write(caller, place, &bytes)?;
        let mut list = [0; 8];
        list[..4].copy_from_slice(&place.to_le_bytes());
        list[4..].copy_from_slice(&u32::try_from(count)?.to_le_bytes());
        self.write(caller, result, &list)
    }
}

/// So many bytes of a guest's memory, where they are there and are not too many.
pub(super) fn read(memory: &[u8], place: u32, bytes: u32, most: usize) -> Result<&[u8]> {
    let (place, bytes) = (place as usize, bytes as usize);
    if bytes > most {
        return Err(wasmtime::Error::msg(format!("a string of {bytes} bytes, and at most {most} are read")));
    }
    memory.get(place..).and_then(|rest| rest.get(..bytes)).ok_or_else(outside)
}

fn outside() -> wasmtime::Error {
    wasmtime::Error::msg("it names a place outside of its memory")
}
