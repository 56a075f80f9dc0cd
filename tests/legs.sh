#!/usr/bin/env bash
# The legs of `./netscope test`: each is one function leg_NAME below, run alone, timed, its output in
# build/logs/NAME.log. A leg passes, fails, or is skipped with a reason; a reason where NETSCOPE_REQUIRE names the
# leg (or says "all") is a failure. `tests/legs.sh --list` lists them; arguments choose some.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

ROOT=$PWD
LOGS=$ROOT/build/logs
PYTHON=/usr/bin/python3
JOBS=${NETSCOPE_JOBS:-$(nproc)}
CORPUS=${NETSCOPE_CORPUS:-$ROOT/../shared/corpus}
HELM_VERSION=v3.11.3
# Tests by name that have a leg of their own, since they need a tool from elsewhere.
OWN_LEGS='browser|grpcurl|containers|kafka_broker|deploy_helm'
export CCACHE_DIR=${CCACHE_DIR:-$ROOT/build/ccache}

LEGS=(format layers proto docs dev replay clang coverage fuzz memcheck dashboard kafka asan tsan tidy browser grpcurl helm instructions clickhouse containers)

# [leg]=legs that run one after the other beside it, and are told in their own turn. tidy only computes, at the lowest
# priority, in what the waits of tests leave; kafka waits more than it computes, and from clang on to its own turn nothing
# waits for an answer; the last are short and mostly fetch and wait.
declare -A BESIDE=([dev]=tidy [clang]=kafka [browser]='grpcurl helm clickhouse')
# Tests at once: most of the time of the integration tests goes by in waits (a fifth of a processor each, by getrusage).
TESTS=$((JOBS * 4))
# A collector takes some 270 MB for its detectors: no more than sixteen tests at once, or one for each core.
((TESTS <= 16)) || TESTS=$((JOBS > 16 ? JOBS : 16))
TESTS_TSAN=$((JOBS * 2)) # unit tests alone, which compute
# What legs on the release build run; neither unit tests nor the programs of the bench, which take minutes to link.
RELEASE=(netscope-sensor netscope-collector netscopectl netscope-traffic kafka-mock kafka-probe kafka-drain kafka-check)

# ---- what a leg may call ----

note() { printf '%s\n' "$*" >&3; } # shown under the leg's line
skip() {
    printf '%s\n' "$*" >"$LOGS/$leg.reason"
    exit 77
}
need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}
our_sources() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do
    [[ -f $f ]] && printf '%s\n' "$f"
done; }

# configure_and_build PRESET [TARGET...]: legs that run side by side wait for each other.
configure_and_build() {
    local preset=$1
    shift
    (
        flock 9
        cmake --preset "$preset" >/dev/null
        cmake --build --preset "$preset" -j "$JOBS" ${@:+--target "$@"}
    ) 9>"$LOGS/build-$preset.lock"
}

# run_ctest PRESET COUNT args...: so many tests at once; fails as ctest does; tells what did not run.
run_ctest() {
    local preset=$1 count=$2 status=0 out=$LOGS/ctest-$1.txt
    shift 2
    ctest --preset "$preset" -j "$count" --no-tests=error "$@" >"$out" 2>&1 </dev/null || status=$?
    cat "$out"
    note "$(grep -E 'tests passed' "$out" | tail -1)"
    sed -n '/^The following tests did not run/,/^$/p' "$out" | grep Skipped | sed 's/^ */  not run: /' >&3 || true
    if ((status != 0)); then
        sed -n '/^The following tests FAILED/,$p' "$out" >&3
    elif required "$leg" && grep -q '(Skipped)' "$out"; then
        note "skipped tests are failures here (NETSCOPE_REQUIRE)"
        status=1
    fi
    return "$status"
}

# A leg that is some tests of the release build, chosen by a word in their names.
run_named() {
    local name=$1 count status=0 out=$LOGS/ctest-${1//[^a-z0-9_]/}.txt
    configure_and_build release "${RELEASE[@]}"
    count=$(ctest --test-dir build/release -N -R "$name" | sed -n 's/^Total Tests: //p')
    ((count > 0)) || skip "no test has $name in its name"
    ctest --test-dir build/release -R "$name" --output-on-failure >"$out" 2>&1 </dev/null || status=$?
    cat "$out"
    ((status == 0)) || return "$status"
    if ! grep -q 'Passed' "$out"; then
        skip "$(grep -hE 'SKIP' build/release/Testing/Temporary/LastTest.log | tail -1 || true)"
    fi
    note "$(grep -E 'tests passed' "$out" | tail -1)"
    grep -E 'Skipped' "$out" | sed 's/^ */  not run: /' >&3 || true
}

# ---- the legs ----

leg_format() {
    need clang-format
    our_sources '*.c' '*.h' | grep -v '^tests/.*generated' | xargs -P "$JOBS" -n 40 clang-format --dry-run -Werror
}

leg_layers() {
    $PYTHON tests/architecture/check_layers.py
    $PYTHON tests/architecture/check_layers.py --self-test
}

leg_proto() {
    [[ -f tests/architecture/check_proto.py ]] || skip "tests/architecture/check_proto.py is not there"
    $PYTHON tests/architecture/check_proto.py
}

# The printed pages equal what the programs print.
leg_docs() {
    configure_and_build release "${RELEASE[@]}"
    $PYTHON tests/integration/cli/generated_pages.py --bin build/release/bin
}

leg_dev() {
    configure_and_build dev
    run_ctest dev "$TESTS" -E "$OWN_LEGS"
}

# clang-tidy over our sources; a file whose text, headers and flags have not changed is not read again.
# The analyzer is nearly all of its time. It follows NETSCOPE_TIDY_NODES states a function, a third of its own default
# (225000), which takes half as long.
leg_tidy() {
    need clang-tidy
    configure_and_build dev
    local base stamps=$ROOT/build/tidy
    export nodes=${NETSCOPE_TIDY_NODES:-75000}
    mkdir -p "$stamps"
    base=$({ echo "$nodes"; our_sources '*.h' '*.proto' .clang-tidy | xargs sha256sum; } | sha256sum | cut -c1-16)
    export base stamps
    our_sources base proto detection sensor collector-ui ctl | grep '\.c$' |
        while read -r file; do
            grep -q "/$file\"" build/dev/compile_commands.json && printf '%s\n' "$file"
        done | nice -n 19 xargs -P "$JOBS" -n 1 bash -c '
            stamp=$stamps/$({ echo "$base"; sha256sum "$0"; } | sha256sum | cut -c1-32)
            [[ -e $stamp ]] && exit 0
            clang-tidy -p build/dev --quiet "$0" --extra-arg=-Xclang --extra-arg=-analyzer-config \
                --extra-arg=-Xclang --extra-arg="max-nodes=$nodes" 2>/dev/null && : >"$stamp"'
}

leg_clang() {
    need clang
    configure_and_build clang
}

leg_asan() {
    configure_and_build asan
    run_ctest asan "$TESTS" -E "$OWN_LEGS" -LE '^replay$'
    # All captures once, for the sanitizers alone.
    [[ ! -f $CORPUS/check_flows.py ]] ||
        $PYTHON tests/replay/shards_agree.py --bin build/asan/bin/netscope-sensor --corpus "$CORPUS" --shards 2 --jobs "$JOBS"
}

leg_tsan() {
    export TSAN_OPTIONS="ignore_noninstrumented_modules=1 halt_on_error=1"
    configure_and_build tsan
    run_ctest tsan "$TESTS_TSAN" -L '^(unit|scenario)$' -LE '^model$'
}

leg_replay() {
    [[ -f $CORPUS/check_flows.py ]] || skip "no captures at $CORPUS (NETSCOPE_CORPUS names another place)"
    configure_and_build release "${RELEASE[@]}"
    local status=0
    # docs/accuracy.md explains each bound, and what the truth cannot know.
    $PYTHON "$CORPUS/check_flows.py" --corpus "$CORPUS" --jobs "$JOBS" --view innermost \
        --max crashes=0 --max timeouts=0 --min flows_recall=0.995 --min mean_flows_recall=0.99 \
        --min packets_exact=0.995 --min bytes_exact=0.99 --min first_seen_exact=0.995 \
        --min sni_recall=0.98 --min sni_precision=0.98 --min dns_recall=0.98 --min dns_precision=0.98 \
        --min http_host_recall=0.98 --min http_host_precision=0.83 --min ja3_recall=0.99 --min ja4_recall=0.99 \
        --min hassh_recall=0.99 --min retransmissions_near_where_any=0.9 --min rtt_near=0.97 \
        --map tests/replay/check_flows_map.json --cmd "$PYTHON $ROOT/tests/replay/plain_units.py \
        $ROOT/build/release/bin/netscope-sensor --read-pcap {pcap} --quiet --flows-jsonl -" \
        >"$LOGS/score.txt" 2>&1 || status=$?
    cat "$LOGS/score.txt"
    sed 's/^/  /' "$LOGS/score.txt" | head -70 >&3
    $PYTHON tests/replay/anomalies.py build/release/bin/netscope-sensor --corpus "$CORPUS" \
        >"$LOGS/anomalies.txt" 2>&1 || status=$?
    cat "$LOGS/anomalies.txt"
    $PYTHON tests/replay/extra_hosts.py build/release/bin/netscope-sensor "$CORPUS" >"$LOGS/extra_hosts.txt" 2>&1 || status=$?
    cat "$LOGS/extra_hosts.txt"
    tail -1 "$LOGS/extra_hosts.txt" >&3
    tail -1 "$LOGS/anomalies.txt" >&3
    $PYTHON tests/replay/shards_agree.py --bin build/release/bin/netscope-sensor --corpus "$CORPUS" --jobs "$JOBS" || status=$?
    return "$status"
}

# All first inputs of all targets, then NETSCOPE_FUZZ_SECONDS of fuzzing in all (tests/fuzz/README.md).
leg_fuzz() {
    need clang
    local targets status=0
    cmake --preset fuzz >/dev/null
    mapfile -t targets < <(ninja -C build/fuzz -t targets all | sed -n 's,^\(fuzz/fuzz_[a-z0-9_]*\): .*,\1,p' | sort -u)
    ((${#targets[@]} > 0)) || skip "no fuzz targets"
    mapfile -t -O "${#targets[@]}" targets < <(ninja -C build/fuzz -t targets all | sed -n 's,^\(tests/test_wire_[a-z0-9_]*\): .*,\1,p' | sort -u)
    ninja -C build/fuzz -j "$JOBS" "${targets[@]}" bin/fuzz_seeds
    $PYTHON tests/fuzz/run.py --build build/fuzz --corpus "$CORPUS" --jobs "$JOBS" \
        --seconds "${NETSCOPE_FUZZ_SECONDS:-300}" >"$LOGS/fuzz-run.txt" 2>&1 || status=$?
    cat "$LOGS/fuzz-run.txt"
    grep -E '^(out of captures|no captures|replay|fuzzing|fuzz_[a-z_]*: FAILED)' "$LOGS/fuzz-run.txt" | cut -c1-300 >&3 || true
    return "$status"
}

# Lines of sensor/wire that first inputs and the shared captures reach.
leg_coverage() {
    need gcov
    [[ -f $CORPUS/check_flows.py ]] || skip "no captures at $CORPUS (NETSCOPE_CORPUS names another place)"
    local status=0
    $PYTHON tests/coverage.py --corpus "$CORPUS" --jobs "$JOBS" --least 90 >"$LOGS/coverage-lines.txt" 2>&1 || status=$?
    cat "$LOGS/coverage-lines.txt"
    tail -3 "$LOGS/coverage-lines.txt" >&3
    return "$status"
}

# A copy of the dashboard's sources with its npm packages: nothing is written into the source tree.
DASHBOARD=$ROOT/build/dashboard-check
install_dashboard() {
    need node npm
    mkdir -p "$DASHBOARD"
    tar -C collector-ui/dashboard --exclude=node_modules --exclude=dist -cf - . | tar -C "$DASHBOARD" -xf -
    if ! cmp -s "$DASHBOARD/package-lock.json" "$DASHBOARD/node_modules/.installed"; then
        (cd "$DASHBOARD" && npm ci --ignore-scripts --no-audit --no-fund </dev/null)
        cp "$DASHBOARD/package-lock.json" "$DASHBOARD/node_modules/.installed"
    fi
}

leg_dashboard() {
    install_dashboard
    cd "$DASHBOARD"
    npx --no-install tsc --noEmit -p .
    npm test --silent </dev/null
}

leg_browser() {
    install_dashboard
    configure_and_build release "${RELEASE[@]}"
    local status=0
    $PYTHON tests/integration/end_to_end/browser.py build/release/bin "$DASHBOARD/node_modules" build/screenshots ||
        status=$?
    ((status != 77)) || skip "$(grep -h '^SKIP' "$LOGS/browser.log" | tail -1)"
    # what failed and why stands far above the log's end
    ((status == 0)) || grep -hE -A 12 '^not ok' "$LOGS/browser.log" >&3 || true
    ((status == 0)) || return "$status"
    note "$(grep -hE '^. (tests|pass|fail) ' "$LOGS/browser.log" | tr '\n' ' ')"
}

# need_by_go PROGRAM PACKAGE VERSION: built from the Go proxy where it is not installed.
need_by_go() {
    local tools=$ROOT/build/tools/bin
    if ! command -v "$1" >/dev/null && [[ ! -x $tools/$1 ]]; then
        need go
        GOBIN=$tools GOFLAGS=-mod=mod go install "$2@$3" || skip "$1 $3 could not be built from the Go proxy"
    fi
    export PATH=$PATH:$tools
}

leg_grpcurl() {
    need_by_go grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl \
        "$(sed -n 's/^VERSION = "\(.*\)".*/\1/p' "$ROOT/tests/integration/support/grpcurl.py")"
    run_named grpcurl
}

leg_helm() {
    need_by_go helm helm.sh/helm/v3/cmd/helm "$HELM_VERSION"
    run_named deploy_helm
}

leg_kafka() {
    run_named "^kafka_broker$" # the others are in dev and asan
}

# Instructions a packet by callgrind, held to bounds (docs/performance.md).
leg_instructions() {
    need valgrind
    run_named bench_instructions
}

# Parsers and codec under valgrind: it sees reads of what was never written, which the address sanitizer does not.
# test_codec_flow encodes more records than it can do in minutes; the other codec tests run the same code.
leg_memcheck() {
    need valgrind
    configure_and_build dev
    local tests=()
    for path in build/dev/tests/test_{wire,codec}_*; do
        [[ $path == */test_codec_flow ]] || tests+=("$path")
    done
    note "${#tests[@]} tests"
    printf '%s\n' "${tests[@]}" | xargs -P "$JOBS" -n 1 \
        valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite
}

# A package of its own in the build tree, since the engine in it is large.
leg_clickhouse() {
    need node npm
    local package=$ROOT/build/clickhouse-check
    configure_and_build release "${RELEASE[@]}"
    mkdir -p "$package"
    cp tests/clickhouse/package.json tests/clickhouse/package-lock.json tests/clickhouse/*.mjs .npmrc "$package"
    if ! cmp -s "$package/package-lock.json" "$package/node_modules/.installed"; then
        # Not `npm ci`: it wants the engine of every other system in the lock file too.
        (cd "$package" && npm install --no-save --ignore-scripts --no-audit --no-fund </dev/null) ||
            skip "chdb could not be fetched from the npm registry"
        cp "$package/package-lock.json" "$package/node_modules/.installed"
    fi
    cd "$package"
    NETSCOPE_ROOT=$ROOT NETSCOPE_BIN=$ROOT/build/release/bin npm test --silent </dev/null
    note "$(grep -hE '^# (tests|pass|fail) ' "$LOGS/clickhouse.log" | tr '\n' ' ')"
}

leg_containers() {
    need podman
    run_named containers
}

# ---- running them ----

required() {
    [[ " ${NETSCOPE_MAY_SKIP:-} " == *" $1 "* ]] && return 1
    [[ ${NETSCOPE_REQUIRE:-} == all || " ${NETSCOPE_REQUIRE:-} " == *" $1 "* ]]
}

# In a child of its own: set -e holds inside, which it would not under an `if`.
leg_process() {
    rm -f "$LOGS/$1.reason"
    bash -euo pipefail "$0" --leg "$1" >"$LOGS/$1.log" 2>&1 3>"$LOGS/$1.notes" </dev/null
}

# Legs beside another, one after the other; the line of each comes in its turn.
start_beside() {
    local name
    for name in "$@"; do rm -f "$LOGS/$name.ended"; done
    set -m # a process group of its own, so that it can be stopped whole
    (
        for name in "$@"; do
            SECONDS=0
            status=0
            leg_process "$name" || status=$?
            printf '%d %d\n' "$status" "$SECONDS" >"$LOGS/$name.new"
            mv "$LOGS/$name.new" "$LOGS/$name.ended" # there is no half of it
        done
    ) &
    for name in "$@"; do beside[$name]=$!; done
    set +m
}

stop_beside() {
    local name
    for name in "${!beside[@]}"; do
        [[ -e $LOGS/$name.ended ]] || kill -- "-${beside[$name]}" 2>/dev/null || true
    done
}

# Waits for a leg that runs beside others, not for those behind it.
await_beside() {
    until [[ -e $LOGS/$1.ended ]] || ! kill -0 "${beside[$1]}" 2>/dev/null; do
        sleep 0.2
    done
}

run_leg() {
    leg=$1
    local started=$SECONDS status=0 took verdict reason=
    printf '%-11s ' "$leg"
    if [[ -n ${beside[$leg]:-} ]]; then
        await_beside "$leg"
        read -r status took <"$LOGS/$leg.ended" || status=1
    else
        leg_process "$leg" || status=$?
        took=$((SECONDS - started))
    fi
    case $status in
    0) verdict=PASS ;;
    77)
        verdict=SKIP
        reason=$(cat "$LOGS/$leg.reason" 2>/dev/null || true)
        if required "$leg"; then
            verdict=FAIL
            reason="skipped, which NETSCOPE_REQUIRE forbids: $reason"
        fi
        ;;
    *) verdict=FAIL ;;
    esac
    printf '%s %4d s  %s\n' "$verdict" "$took" "$reason"
    sed 's/^/    /' "$LOGS/$leg.notes" | grep -v '^ *$' || true
    if [[ $verdict == FAIL ]]; then
        tail -60 "$LOGS/$leg.log" | cut -c1-400 | sed 's/^/    | /'
        printf '    the whole output: %s\n' "$LOGS/$leg.log"
    fi
    rows+=("$(printf '%-11s %-4s %5d s  %s' "$leg" "$verdict" "$took" "$reason")")
    counts[$verdict]=$((counts[$verdict] + 1))
}

if [[ ${1:-} == --list ]]; then
    printf '%s\n' "${LEGS[@]}"
    exit 0
fi
check_names() {
    local name
    for name in "$@"; do
        declare -F "leg_$name" >/dev/null || {
            printf "no leg '%s'; there are: %s\n" "$name" "${LEGS[*]}" >&2
            exit 2
        }
    done
}
if [[ ${1:-} == --check ]]; then # before anything is installed for them
    check_names "${@:2}"
    exit 0
fi
mkdir -p "$LOGS"
if [[ ${1:-} == --leg ]]; then
    leg=$2
    "leg_$leg"
    exit 0
fi
(($# > 0)) || set -- "${LEGS[@]}"
check_names "$@"
declare -A counts=([PASS]=0 [FAIL]=0 [SKIP]=0)
rows=()
declare -A beside=()
trap stop_beside EXIT
for name in "$@"; do
    others=()
    for other in ${BESIDE[$name]:-}; do
        [[ " $* " != *" $other "* ]] || others+=("$other")
    done
    ((${#others[@]} == 0)) || start_beside "${others[@]}"
    run_leg "$name"
done
printf '\n'
printf '%s\n' "${rows[@]}"
printf '%d passed, %d failed, %d skipped\n' "${counts[PASS]}" "${counts[FAIL]}" "${counts[SKIP]}"
((counts[FAIL] == 0))
