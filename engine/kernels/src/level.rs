//! Which instruction set the kernels use: detected once, or forced by the environment.

use std::fmt;
use std::sync::OnceLock;

/// Environment variable that forces a level: `scalar`, `avx2`, `avx512`, `avx512vnni`, `neon`
/// or `auto` (any case).
pub const ENV_LEVEL: &str = "ELANUS_KERNELS";

/// An instruction set that the kernels are written for. Every variant exists on every architecture,
/// so that configuration and reports need no `cfg`; [`Level::is_available`] says what this CPU can
/// run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Plain loops: the reference, on every CPU.
    Scalar,
    /// x86-64 with AVX2, FMA, F16C and POPCNT: 8 lanes of f32.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL and DQ: 16 lanes of f32.
    Avx512,
    /// The same with AVX-512 VNNI and VPOPCNTDQ: sums of bytes and counts of bits in one step.
    Avx512Vnni,
    /// aarch64 with NEON: 4 lanes of f32.
    Neon,
}

/// Why the level asked for by [`ENV_LEVEL`] cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelError {
    /// The value names no level.
    Unknown(String),
    /// The level exists, but this CPU does not have it.
    Unavailable(Level),
}

/// What was asked and what came of it, read from the environment once per process.
struct Choice {
    asked: Option<String>,
    chosen: Result<Level, LevelError>,
}

impl Level {
    /// All levels, narrowest first.
    pub const ALL: [Level; 5] =
        [Level::Scalar, Level::Neon, Level::Avx2, Level::Avx512, Level::Avx512Vnni];

    /// The name as [`ENV_LEVEL`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Avx512Vnni => "avx512vnni",
            Level::Neon => "neon",
        }
    }

    /// The levels this CPU can run, narrowest first; `Scalar` is always the first.
    pub fn available() -> &'static [Level] {
        static AVAILABLE: OnceLock<Vec<Level>> = OnceLock::new();
        AVAILABLE.get_or_init(|| Level::ALL.into_iter().filter(|l| cpu_has(*l)).collect())
    }

    /// Whether this CPU can run the level.
    pub fn is_available(self) -> bool {
        Level::available().contains(&self)
    }

    /// The widest level of this CPU, whatever the environment says.
    pub fn detected() -> Level {
        widest(Level::available())
    }

    /// The level [`ENV_LEVEL`] asks for; the detected one when it is unset, empty or `auto`. A
    /// server should call this at start and refuse to run on an error; [`Level::used`] is what the
    /// kernels do if nobody checks.
    ///
    /// The variable is read once per process, so this, [`Level::used`] and [`level_report`] never
    /// disagree.
    pub fn from_env() -> Result<Level, LevelError> {
        choice().chosen.clone()
    }

    /// The level that [`Kernels::best`](crate::Kernels::best) uses: [`Level::from_env`], or the
    /// detected level when that is an error (which [`level_report`] then names).
    pub fn used() -> Level {
        choice().chosen.clone().unwrap_or_else(|_| Level::detected())
    }
}

/// One line for the log: what was asked, what the CPU has, what is used, and why that differs if it
/// does.
pub fn level_report() -> String {
    let Choice { asked, chosen } = choice();
    report(asked.as_deref(), chosen, Level::available())
}

fn report(asked: Option<&str>, chosen: &Result<Level, LevelError>, has: &[Level]) -> String {
    let names: Vec<_> = has.iter().map(|l| l.name()).collect();
    let (asked, detected) = (asked.unwrap_or("nothing"), widest(has));
    let start = format!("{ENV_LEVEL}: asked {asked}, detected {detected} of {}", names.join(" "));
    match chosen {
        Ok(level) => format!("{start}, using {level}"),
        Err(e) => format!("{start}, using {detected} instead: {e}"),
    }
}

fn choice() -> &'static Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    CHOICE.get_or_init(|| {
        let asked = std::env::var_os(ENV_LEVEL).map(|v| v.to_string_lossy().into_owned());
        let chosen = choose(asked.as_deref(), Level::available());
        Choice { asked, chosen }
    })
}

fn choose(asked: Option<&str>, has: &[Level]) -> Result<Level, LevelError> {
    let name = asked.unwrap_or("").trim().to_ascii_lowercase();
    if name.is_empty() || name == "auto" {
        return Ok(widest(has));
    }
    match Level::ALL.into_iter().find(|l| l.name() == name) {
        Some(level) if has.contains(&level) => Ok(level),
        Some(level) => Err(LevelError::Unavailable(level)),
        None => Err(LevelError::Unknown(name)),
    }
}

fn widest(levels: &[Level]) -> Level {
    levels.last().copied().unwrap_or(Level::Scalar)
}

fn cpu_has(level: Level) -> bool {
    match level {
        Level::Scalar => true,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("popcnt")
        }
        // A wider level reuses kernels of the narrower ones, and the AVX-512 kernels narrow to 256
        // bits when they reduce.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && cpu_has(Level::Avx2)
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => {
            is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512vpopcntdq")
                && cpu_has(Level::Avx512)
        }
        #[cfg(target_arch = "aarch64")]
        Level::Neon => std::arch::is_aarch64_feature_detected!("neon"),
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LevelError::Unknown(v) => {
                write!(f, "{v:?} is not one of scalar, avx2, avx512, avx512vnni, neon, auto")
            }
            LevelError::Unavailable(level) => write!(f, "this CPU does not have {level}"),
        }
    }
}

impl std::error::Error for LevelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_level_is_used_or_refused() {
        let has = [Level::Scalar, Level::Avx2];
        for auto in [None, Some(""), Some("auto"), Some(" AUTO ")] {
            assert_eq!(choose(auto, &has), Ok(Level::Avx2));
        }
        assert_eq!(choose(Some("Scalar"), &has), Ok(Level::Scalar));
        assert_eq!(choose(Some("avx512"), &has), Err(LevelError::Unavailable(Level::Avx512)));
        for level in Level::ALL {
            assert_eq!(choose(Some(level.name()), &Level::ALL), Ok(level));
        }
        assert_eq!(choose(None, &Level::ALL), Ok(Level::Avx512Vnni));
        assert_eq!(choose(Some("sse9"), &has), Err(LevelError::Unknown("sse9".into())));
    }

    #[test]
    fn the_report_names_asked_detected_and_used() {
        let has = [Level::Scalar, Level::Avx2];
        let line = |asked| report(Some(asked), &choose(Some(asked), &has), &has);
        let head = "ELANUS_KERNELS: asked";
        assert_eq!(
            line("scalar"),
            format!("{head} scalar, detected avx2 of scalar avx2, using scalar")
        );
        let neon = "detected avx2 of scalar avx2, using avx2 instead: this CPU does not have neon";
        assert_eq!(line("neon"), format!("{head} neon, {neon}"));
        assert!(line("fast").ends_with(
            "using avx2 instead: \"fast\" is not one of scalar, avx2, avx512, avx512vnni, neon, auto"
        ));
        assert!(level_report().contains(Level::used().name()));
    }
}
