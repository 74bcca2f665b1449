//! Values that a test may give as it would write them in a configuration: `"2.50 USD"`, `"20m"`, `"opus"`.

use crate::{Nanodollars, Quantity, Share, Span, Symbol, Tokens, Unit};

/// Something that can be read as a `T`: a `T`, or the text of one.
pub trait Written<T> {
    /// The value.
    ///
    /// # Panics
    /// When the text is not one.
    #[track_caller]
    fn read(self) -> T;
}

macro_rules! as_it_is {
    ($($type:ty),+) => {$(
        impl Written<$type> for $type {
            fn read(self) -> $type {
                self
            }
        }
    )+};
}

macro_rules! as_text {
    ($($type:ty),+) => {$(
        impl Written<$type> for &str {
            #[track_caller]
            fn read(self) -> $type {
                self.parse().unwrap_or_else(|error| panic!("{error}"))
            }
        }
    )+};
}

as_it_is!(Nanodollars, Span, Share, Tokens, Symbol, u32, u64);
as_text!(Nanodollars, Span, Share);

impl Written<Tokens> for u64 {
    fn read(self) -> Tokens {
        Tokens(self)
    }
}

impl Written<Symbol> for &str {
    fn read(self) -> Symbol {
        super::name(self)
    }
}

/// A number with its unit: a quantity, or the text of one.
pub trait Measured {
    /// The unit and the number.
    ///
    /// # Panics
    /// When the text is no quantity.
    #[track_caller]
    fn measured(self) -> (Unit, u64);
}

impl<Q: Quantity> Measured for Q {
    fn measured(self) -> (Unit, u64) {
        (Q::UNIT, self.amount())
    }
}

impl Measured for &str {
    #[track_caller]
    fn measured(self) -> (Unit, u64) {
        if let Some(tokens) = self.strip_suffix(" tokens") {
            let tokens: u64 = tokens.parse().unwrap_or_else(|_| panic!("`{self}` is no number of tokens"));
            return Tokens(tokens).measured();
        }
        if self.ends_with('%') {
            return Written::<Share>::read(self).measured();
        }
        if self.ends_with("USD") {
            return Written::<Nanodollars>::read(self).measured();
        }
        Written::<Span>::read(self).measured()
    }
}
