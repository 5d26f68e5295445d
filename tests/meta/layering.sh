#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: arrows point one way.  Method: each #include line is held against what its folder may use, and
# each dependency has one door: one file that includes it.
. "$(dirname "$0")/meta.bash"

# may_include FOLDER - the quoted prefixes and <busbar/...> names that files there may include.
may_include()
{
    case $1 in
    shm) echo '"shm/' ;;
    lib/include) echo '<busbar/' ;;
    lib/topic) echo '"shm/ "lib/topic/ <busbar/status.h> <busbar/topic.h>' ;;
    lib/value) echo '"shm/ "lib/value/ <busbar/status.h> <busbar/value.h> <busbar/codec.h>' ;;
    lib/endpoint)
        echo '"shm/ "lib/topic/ "lib/value/ "lib/endpoint/ <busbar/'
        ;;
    lib/store) echo '"shm/ "lib/value/ "lib/endpoint/ "lib/store/ <busbar/' ;;
    lib/cluster) echo '"shm/ "lib/value/ "lib/endpoint/ "lib/cluster/ <busbar/' ;;
    lib/bridge) echo '"shm/ "lib/value/ "lib/topic/ "lib/bridge/ <busbar/status.h> <busbar/topic.h> <busbar/value.h>' ;;
    lib/net) echo '"shm/ "lib/net/ <busbar/status.h>' ;;
    lib/link)
        echo '"shm/ "lib/value/ "lib/topic/ "lib/endpoint/ "lib/net/ "lib/bridge/ "lib/link/ <busbar/'
        ;;
    # busbard is no user of the API but a part of the product that is a process: one header for it.
    tools/daemon) echo '<busbar/ "tools/daemon/ "tools/common/ "lib/link/daemon.h' ;;
    tools/*) echo "<busbar/ \"$1/ \"tools/common/" ;;
    examples) echo '<busbar/' ;; # and files beside them
    tests/unit/shm) echo '"shm/ "tests/' ;;
    esac
}

check_includes()
{
    local folder=$1 allowed file line name prefix ok
    allowed=$(may_include "$folder")
    while read -r file; do
        while IFS=: read -r line name; do
            case $name in
            '"busbar/'*) name="<${name:1:-1}>" ;; # both spellings mean the public header
            '<busbar/'* | '"'*) ;;
            *) continue ;; # a header of the system or of a dependency
            esac
            ok=0
            for prefix in $allowed; do
                case $name in "$prefix"*) ok=1 ;; esac
            done
            # A bare name is a file of the same folder.
            case $name in
            '"'*/*) ;;
            '"'*) [ -f "$SOURCE/$(dirname "$file")/${name//\"/}" ] && ok=1 ;;
            esac
            [ $ok = 1 ] || wrong "$file:$line" "$folder may not include $name"
        done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1/;t p;b
:p
=;p' "$SOURCE/$file" | sed 'N;s/\n/:/')
    done < <(files "$folder" -- '*.c' '*.cc' '*.h')
}

# door PATTERN FILE... - only these files may include headers that match; each that is named must exist.
door()
{
    local pattern=$1 file line rest
    shift
    while IFS=: read -r file line rest; do
        case " $* " in
        *" $file "*) ;;
        *) wrong "$file:$line" "$rest: only $* may include it" ;;
        esac
    done < <(cd "$SOURCE" && grep -rnE --include='*.c' --include='*.h' \
        "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$pattern>" shm lib tools 2>/dev/null)
}

# one_file PATTERN - at most one file may include headers that match.
one_file()
{
    local hits
    hits=$(cd "$SOURCE" && grep -rnE --include='*.c' --include='*.h' \
        "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$1>" shm lib tools 2>/dev/null)
    if [ "$(cut -d: -f1 <<<"$hits" | sort -u | grep -c .)" -gt 1 ]; then
        while IFS=: read -r file line rest; do
            wrong "$file:$line" "$rest: one file is the door to it, here are several"
        done <<<"$hits"
    fi
}

check()
{
    local folder
    check_includes shm
    for folder in include topic value endpoint store cluster net bridge; do
        check_includes "lib/$folder"
    done
    for folder in "$SOURCE"/tools/*/; do
        [ -d "$folder" ] && check_includes "tools/$(basename "$folder")"
    done
    check_includes tests/unit/shm
    check_includes examples

    door 'stdatomic\.h' shm/atomic.h
    grep -qs '<stdatomic\.h>' "$SOURCE/shm/atomic.h" \
        || wrong shm/atomic.h:1 "the door to <stdatomic.h> does not include it"
    while IFS=: read -r file line rest; do
        [ "$file" = shm/atomic.h ] || wrong "$file:$line" "atomic builtin outside shm/atomic.h"
    done < <(cd "$SOURCE" && grep -rnE --include='*.c' --include='*.h' '\b__(atomic|sync)_[a-z]' \
        shm lib tools 2>/dev/null)
    one_file 'xxh[a-z0-9]*\.h'
    one_file 'lmdb\.h'
    one_file 'liburing\.h'
    one_file 'lz4[a-z]*\.h'
    one_file 'openssl/[a-z0-9]+\.h'
}

clean_tree()
{
    mkdir -p shm lib/include/busbar lib/topic lib/value lib/endpoint lib/store lib/cluster lib/net lib/bridge lib/link tools/cli tools/daemon tests/unit/shm tests/stress examples
    echo '#include <stdatomic.h>' >shm/atomic.h
    printf '#include "shm/atomic.h"\n#include <xxhash.h>\n' >shm/ring.c
    echo '#include <busbar/status.h>' >lib/include/busbar/topic.h
    printf '#include "lib/topic/match.h"\n#include "shm/ring.h"\n#include <stdio.h>\n' >lib/topic/match.c
    touch lib/topic/match.h
    printf '#include "match.h"\n' >lib/topic/more.c
    printf '#include "busbar/endpoint.h"\n#include "lib/topic/match.h"\n' >lib/endpoint/attach.c
    printf '#include "lib/net/net.h"\n#include "shm/ring.h"\n#include <liburing.h>\n' >lib/net/uring.c
    touch lib/net/net.h
    printf '#include "lib/net/net.h"\n' >lib/net/net.c
    printf '#include <busbar/busbar.h>\n#include "tools/cli/cli.h"\n' >tools/cli/main.c
    printf '#include <criterion/criterion.h>\n#include "shm/ring.h"\n' >tests/unit/shm/ring.c
    printf '#include <stdatomic.h>\n' >tests/stress/ring.c
    touch examples/reader.h
    printf '#include <busbar/busbar.h>\n#include "reader.h"\n' >examples/loop.c
}
seed_shm_includes_lib() { echo '#include "lib/topic/match.h"' >>shm/ring.c; echo shm/ring.c:3; }
seed_shm_includes_public() { echo '#  include <busbar/topic.h>' >>shm/ring.c; echo shm/ring.c:3; }
seed_shm_includes_public_in_quotes() { echo '#include "busbar/topic.h"' >>shm/ring.c; echo shm/ring.c:3; }
seed_shm_includes_topic() { echo '#include "topic/match.h"' >>shm/ring.c; echo shm/ring.c:3; }
seed_topic_includes_endpoint() { echo '#include "lib/endpoint/attach.h"' >>lib/topic/match.c; echo lib/topic/match.c:4; }
seed_topic_includes_value() { echo '#include <busbar/value.h>' >>lib/topic/match.c; echo lib/topic/match.c:4; }
seed_endpoint_includes_cluster() { echo '#include "lib/cluster/pool.h"' >>lib/endpoint/attach.c; echo lib/endpoint/attach.c:3; }
seed_net_includes_endpoint() { echo '#include "lib/endpoint/attach.h"' >>lib/net/net.c; echo lib/net/net.c:2; }
seed_net_includes_public() { echo '#include <busbar/endpoint.h>' >>lib/net/net.c; echo lib/net/net.c:2; }
seed_endpoint_includes_net() { echo '#include "lib/net/net.h"' >>lib/endpoint/attach.c; echo lib/endpoint/attach.c:3; }
seed_second_uring_door() { echo '#include <liburing.h>' >>lib/net/net.c; echo lib/net/net.c:2; }
seed_second_lz4_door() { echo '#include <lz4.h>' >>lib/net/net.c; echo '#include <lz4.h>' >lib/link/lz4.c; echo lib/net/net.c:2; }
seed_endpoint_includes_link() { echo '#include "lib/link/hub.h"' >>lib/endpoint/attach.c; echo lib/endpoint/attach.c:3; }
seed_cli_includes_link() { echo '#include "lib/link/daemon.h"' >>tools/cli/main.c; echo tools/cli/main.c:3; }
seed_daemon_includes_hub() { printf '#include "lib/link/daemon.h"\n#include "lib/link/hub.h"\n' >tools/daemon/main.c; echo tools/daemon/main.c:2; }
seed_bridge_includes_endpoint() { printf '#include "shm/ring.h"\n#include "lib/endpoint/attach.h"\n' >lib/bridge/session.c; echo lib/bridge/session.c:2; }
seed_endpoint_includes_bridge() { echo '#include "lib/bridge/session.h"' >>lib/endpoint/attach.c; echo lib/endpoint/attach.c:3; }
seed_public_includes_internal() { echo '#include "shm/ring.h"' >>lib/include/busbar/topic.h; echo topic.h:2; }
seed_tool_includes_shm() { echo '#include "shm/ring.h"' >>tools/cli/main.c; echo tools/cli/main.c:3; }
seed_example_includes_lib() { echo '#include "lib/topic/match.h"' >examples/more.cc; echo examples/more.cc:1; }
seed_unit_test_of_shm_includes_lib() { echo '#include <busbar/value.h>' >>tests/unit/shm/ring.c; echo ring.c:3; }
seed_second_atomic_door() { echo '#include <stdatomic.h>' >>lib/topic/match.c; echo lib/topic/match.c:4; }
seed_no_atomic_door() { : >shm/atomic.h; echo shm/atomic.h; }
seed_atomic_builtin() { echo 'int f(int *p) { return __atomic_load_n(p, 0); }' >>shm/ring.c; echo shm/ring.c:3; }
seed_second_hash_door() { echo '#include <xxhash.h>' >>lib/topic/more.c; echo lib/topic/more.c:2; }

meta_main "$@"
