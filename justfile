# Short names for the scripts in `.ci/` and for the commands of the README.
# Everything here also works without just: look at the recipe and type it.

# Lists the recipes.
default:
    @{{ just_executable() }} --list --unsorted

# The main job: imports a sample project, or yours with --project DIR.
import *arguments:
    cargo run --release -- import {{ arguments }}

# Everything that must pass, or the checks named.
ci *checks:
    .ci/run {{ checks }}

# Formats the sources.
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml

# Warnings, with every choice of features that matters.
clippy:
    .ci/clippy

# The tests whose names contain these, or all.
test *names:
    cargo test {{ names }}

# The rules that only a reader of the text can check.
tidy:
    cargo test --test tidy

# The models of the protocols, at the bound of the tests; `just loom 3` looks deeper, for longer.
loom bound="2":
    LOOM_MAX_PREEMPTIONS={{ bound }} cargo test --features loom

# Every fuzz target for so many seconds each.
fuzz seconds="60":
    FUZZ_SECONDS={{ seconds }} .ci/fuzz

# The figures of the engine: --quick, --json, --strict, or names of groups.
bench *arguments:
    cargo bench -p lanepool-bench --bench core -- {{ arguments }}

# The scheduling strategies on five loads: --quick, --json, --only GROUP.
scheduling *arguments:
    cargo bench -p lanepool-bench --bench scheduling -- {{ arguments }}

# Batches: how full, how late, what they gain; --quick, --json, --only GROUP.
batching *arguments:
    cargo bench -p lanepool-bench --bench batching -- {{ arguments }}

# The comparison with the rivals: --quick, --only W1,W3, --contenders NAME, --help for more.
peers *arguments:
    cargo bench -p lanepool-bench --bench peers -- {{ arguments }}

# The documentation for contributors, in target/doc/lanepool.
docs:
    cargo doc -p lanepool --no-deps --all-features --document-private-items
