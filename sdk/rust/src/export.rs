//! [`export!`](crate::export!): makes a component of a policy.

use std::sync::OnceLock;

use crate::{ConfigError, Policy, Setup};

/// Exports a policy from its crate, as one kind or several.
///
/// Stands once in a crate of type `cdylib`. The plugin's name and version are those of the package, and the
/// package's `description` is its summary. Natively it only checks that the traits are there, so that a
/// forgotten one is an error of every build.
///
/// ```
/// use tollgate_sdk::{ConfigError, Policy, Setup, kill_switch, KillSwitch};
///
/// struct Stop;
///
/// impl Policy for Stop {
///     type Config = tollgate_sdk::NoConfig;
///
///     fn configure(_: Self::Config, _: &mut Setup) -> Result<Self, ConfigError> {
///         Ok(Self)
///     }
/// }
///
/// impl KillSwitch for Stop {
///     fn evaluate(&self, _: &kill_switch::Facts) -> kill_switch::Verdict {
///         kill_switch::Verdict::Proceed
///     }
/// }
///
/// tollgate_sdk::export!(Stop: kill_switch);
/// ```
///
/// A kind whose trait is missing does not compile:
///
/// ```compile_fail,E0277
/// # use tollgate_sdk::{ConfigError, Policy, Setup};
/// # struct Stop;
/// # impl Policy for Stop {
/// #     type Config = tollgate_sdk::NoConfig;
/// #     fn configure(_: Self::Config, _: &mut Setup) -> Result<Self, ConfigError> { Ok(Self) }
/// # }
/// tollgate_sdk::export!(Stop: kill_switch);
/// ```
#[macro_export]
macro_rules! export {
    ($policy:ty : $($kind:ident),+ $(,)?) => {
        const _: () = {
            $($crate::__private::kinds::$kind::<$policy>();)+
            $crate::__private::check_counters::<$policy>();
        };
        #[cfg(target_family = "wasm")]
        const _: () = {
            const {
                assert!(
                    !env!("CARGO_PKG_DESCRIPTION").is_empty(),
                    "the policy needs a summary: set `description` in its Cargo.toml",
                );
            }

            static POLICY: ::std::sync::OnceLock<$policy> = ::std::sync::OnceLock::new();

            struct Component;

            impl $crate::__private::Component for Component {
                type Policy = $policy;
                const ABOUT: $crate::__private::About = $crate::__private::About {
                    name: env!("CARGO_PKG_NAME"),
                    version: env!("CARGO_PKG_VERSION"),
                    summary: env!("CARGO_PKG_DESCRIPTION"),
                };

                fn policy() -> &'static ::std::sync::OnceLock<$policy> {
                    &POLICY
                }
            }

            $crate::__export_kind!(plugin Component);
            $($crate::__export_kind!($kind Component);)+
            $($crate::__lend_kind!($kind Component);)+
        };
    };
}

/// What `export!` puts into the author's crate, and what that needs. Not for anyone else.
pub trait Component: 'static {
    /// What is exported.
    type Policy: Policy;

    /// What the package says about itself.
    const ABOUT: About;

    /// Where the configured policy lies.
    fn policy() -> &'static OnceLock<Self::Policy>;
}

/// What a package says about itself.
#[derive(Debug)]
pub struct About {
    /// `CARGO_PKG_NAME`
    pub name: &'static str,
    /// `CARGO_PKG_VERSION`
    pub version: &'static str,
    /// `CARGO_PKG_DESCRIPTION`
    pub summary: &'static str,
}

/// One function for each kind; calling it proves the trait. An unknown kind is a function that is not here.
pub mod kinds {
    use crate::{Budget, KillSwitch, RetryCeiling, Routing};

    /// Proves the trait.
    pub const fn kill_switch<P: KillSwitch>() {}
    /// Proves the trait.
    pub const fn retry_ceiling<P: RetryCeiling>() {}
    /// Proves the trait.
    pub const fn routing<P: Routing>() {}
    /// Proves the trait.
    pub const fn budget<P: Budget>() {}
}

/// What the contract bounds and a build can already see.
pub const fn check_counters<P: Policy>() {
    assert!(P::COUNTERS.len() <= 8, "a policy declares at most eight counters");
    let mut index = 0;
    while index < P::COUNTERS.len() {
        let window = P::COUNTERS[index].window.as_milliseconds();
        assert!(window % 1000 == 0, "a counter's window is a whole number of seconds");
        assert!(window / 1000 <= u32::MAX as u64, "a counter's window is at most 136 years");
        index += 1;
    }
}

/// A configured policy from the JSON text the host hands over. The host has checked it against the schema.
///
/// # Errors
/// When the text does not fit the configuration's type, or the policy refuses it.
pub fn configured<P: Policy>(json: &str) -> Result<P, String> {
    let config = serde_json::from_str(json).map_err(|error| error.to_string())?;
    configured_from::<P>(config).map_err(|error| error.to_string())
}

pub(crate) fn configured_from<P: Policy>(config: P::Config) -> Result<P, ConfigError> {
    let mut setup = Setup::for_policy::<P>();
    let policy = P::configure(config, &mut setup)?;
    setup.finish()?;
    Ok(policy)
}
