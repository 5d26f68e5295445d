#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: busbard as people and service managers meet it: the port that it got, what it tells the manager, reload with a
# good file and with a bad one, a clean stop, and a sentence with the promised exit code for each mistake.
# Method: the program, on buses of its own; a datagram socket in Python plays the service manager.
. "$(dirname "$0")/cli_common.bash"

busbard=$build_dir/tools/busbard
[ -x "$busbard" ] || { echo "[FAIL] $busbard is not built"; exit 1; }

# start_daemon ARGUMENTS... - in the background, as $who; pid in $child.
start_daemon()
{
    env --default-signal=INT,PIPE,HUP,TERM "$busbard" "$@" >"$box/$who.out" 2>"$box/$who.err" <&0 8>&- 9>&- &
    child=$!
    children+=("$child")
}
listens() { grep -qs "^listening on " "$box/$who.out"; }
address() { sed -n 's/^listening on //p' "$box/$who.out" | sed -n "${1:-1}p"; }
said() { grep -qs -- "$1" "$box/$who.err"; }
stops() { kill -s "${1:-TERM}" "$child" && ends "$child" && [ "$code" = 0 ]; }

# ---- words -----------------------------------------------------------------------------------------

check help run 0 "$busbard" --help
check help_names_flags prints '--listen HOST:PORT'
check version run 0 "$busbard" --version
wrong_words()
{
    run 2 "$busbard" --lisen h:1 && says 'did you mean --listen?' && run 2 "$busbard" lab && says 'is no flag' \
        && run 2 "$busbard" --bus lab --cert a --psk b && says 'choose one: certificates' \
        && run 2 "$busbard" --bus lab --crl a --psk b && says 'choose one: certificates .*--crl' \
        && run 2 "$busbard" --bus lab --cert a && says 'the private key (--key) is missing' \
        && run 2 "$busbard" --config "$box/none.ini" && says 'none.ini cannot be read'
}
check wrong_words wrong_words
probes() { run 0 "$busbard" --probe && [ "$(wc -l <"$out")" = 1 ] && prints '^engine: \(io_uring\|epoll: .\)'; }
check probe probes

# ---- --check ---------------------------------------------------------------------------------------

cat >"$box/good.ini" <<END
[bridge]
bus = lab
name = here
listen = 127.0.0.1:0
psk = the.key
rights = the.rights
topics = /a /b
[peer there]
address = 127.0.0.1:1
slow = disconnect
END
head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$box/the.key"
chmod 0600 "$box/the.key"
printf 'allow there publish /a\nallow there subscribe ""\n' >"$box/the.rights"
checks()
{
    run 0 "$busbard" --config "$box/good.ini" --check && prints "^bus       lab in $BUSBAR_DIR\$" \
        && prints "^security  key, $box/the.key\$" && prints '^rights    2 rules of ' && prints '^listen    127.0.0.1:0$' \
        && prints '^peer      there at 127.0.0.1:1, disconnect$' && prints '^topics    /b$' \
        && [ -z "$(ls "$BUSBAR_DIR")" ]
}
check check_says_what_it_would_do checks
finds_mistakes()
{
    chmod 0644 "$box/the.key"
    run 5 "$busbard" --config "$box/good.ini" --check && says 'chmod 0600' || return 1
    chmod 0600 "$box/the.key"
    echo 'allow there fly /a' >"$box/bad.rights"
    run 2 "$busbard" --config "$box/good.ini" --check --rights "$box/bad.rights" && says 'bad.rights' \
        && sed 's/^topics/topcis/' "$box/good.ini" >"$box/bad.ini" && run 2 "$busbard" --config "$box/bad.ini" --check \
        && says 'bad.ini:7: \[bridge\] has no key "topcis"; did you mean `topics`?'
}
check check_finds_mistakes finds_mistakes
leaves_no_trace() { run 0 "$busbard" --bus lab --check && prints '(to be made)' && [ -z "$(ls -A "$BUSBAR_DIR")" ]; }
check check_leaves_no_trace leaves_no_trace

# ---- a life ----------------------------------------------------------------------------------------

who=one
start_daemon --bus one --listen 127.0.0.1:0 --listen '[::1]:0'
says_two_ports() { [ "$(grep -cs "^listening on " "$box/one.out")" = 2 ]; }
check says_its_port soon says_two_ports
check port_is_real grep -qE '^listening on 127\.0\.0\.1:[1-9][0-9]*$' "$box/one.out"
check port_is_real_six grep -qE '^listening on \[::1\]:[1-9][0-9]*$' "$box/one.out"
takes_connections() { (exec 3<>"/dev/tcp/127.0.0.1/$(address | sed 's/.*://')") 2>/dev/null; }
check takes_connections takes_connections
check says_its_key said "links take the key $BUSBAR_DIR/.key, still to be made"
check key_is_ours [ "$(stat -c %a "$BUSBAR_DIR/.key")" = 600 ]
second_refused() { run 1 "$busbard" --bus one --listen 127.0.0.1:0 && silent "$out" && [ -s "$err" ]; }
check second_on_this_bus_refused second_refused
port_taken() { run 8 "$busbard" --bus other --listen "$(address)" && says 'another program listens there'; }
check port_taken port_taken
check stops_cleanly stops TERM
check is_gone_from_the_bus [ -z "$(b -b one node list --json 2>/dev/null | jq -r '.nodes[]? | select(.state == "running") | .name')" ]

who=two
start_daemon --bus one --listen 127.0.0.1:0
check comes_again soon listens
check stops_by_interrupt stops INT

keyless()
{
    local where
    for where in '*:0' 0.0.0.0:0 '[::]:0'; do
        run 5 "$busbard" --bus keyless --listen "$where" && says '--cert' && says '--psk' && says '--insecure' \
            && silent "$out" && run 5 "$busbard" --bus keyless --listen "$where" --check && says '--insecure' || return 1
    done
}
check keyless_listening_elsewhere_refused keyless
prints_of() { "$busbar" -b "$1" bridge info | grep -q -- "$2"; } # prints_of BUS PATTERN
who=insecure
start_daemon --bus insecure --listen '*:0' --insecure
check insecure_may soon listens
check insecure_warns said 'warning: --insecure'
check insecure_is_shown prints_of insecure '^security  *INSECURE'
check gains_no_rights grep -q '^NoNewPrivs:.*1$' "/proc/$child/status"
check insecure_stops stops

# ---- two of them -----------------------------------------------------------------------------------

who=b
start_daemon --bus b --name box-b --config /dev/null --psk "$box/the.key" --listen 127.0.0.1:0
b_pid=$child
soon listens
b_address=$(address)
who=a
start_daemon --bus a --name box-a --psk "$box/the.key" --peer "box-b@$b_address"
a_pid=$child

name=sub
start -b b sub -n 1 /x
goes_over()
{
    b -b a pub /x hello >/dev/null 2>&1
    grep -q hello "$box/sub.out"
}
check message_goes_over soon goes_over
child=$a_pid
check dialer_stops stops
child=$b_pid
check listener_stops stops

# ---- flags alone: two buses of one box, with the user's key and names of their own ------------------

who=plain-b
start_daemon --bus plain-b --listen 127.0.0.1:0
soon listens
plain_address=$(address)
plain_b=$child
who=plain-a
start_daemon --bus plain-a --peer "$plain_address"
plain_a=$child
name=plain-sub
start -b plain-b sub -n 1 /x
goes_over_plainly()
{
    b -b plain-a pub /x hello >/dev/null 2>&1
    grep -q hello "$box/plain-sub.out"
}
check message_goes_over_with_flags_alone soon goes_over_plainly
name_of() { b -b "$1" bridge info --json | jq -rs 'map(select(.engine))[0].name'; }
names_differ() { case $(name_of plain-a) in "$(hostname)"-????) [ "$(name_of plain-a)" != "$(name_of plain-b)" ] ;; *) return 1 ;; esac; }
check two_buses_of_one_box_have_two_names names_differ
child=$plain_a
check plain_a_stops stops
child=$plain_b
check plain_b_stops stops

# ---- certificates as `busbar pki` makes them -------------------------------------------------------

certs() { echo --cert "$box/tls/$1/$1.crt" --key "$box/tls/$1/$1.key" --ca "$box/tls/$1/ca.crt" --crl "$box/tls/$1/crl.pem"; }
mkdir "$box/tls"
makes_certificates()
{
    local one
    run 0 "$busbar" pki init "$box/ca" || return 1
    for one in cert-a cert-b; do
        run 0 "$busbar" pki issue "$box/ca" $one --out "$box/tls/$one" || return 1
    done
}
check pki_makes_certificates makes_certificates
who=cert-a
start_daemon --bus cert-a --listen 127.0.0.1:0 $(certs cert-a) # its name is the certificate's
a_pid=$child
soon listens
a_address=$(address)
who=cert-b
start_daemon --bus cert-b --peer "cert-a@$a_address" $(certs cert-b)
b_pid=$child
name=cert-sub
start -b cert-a sub -n 1 /x
goes_over_certified()
{
    b -b cert-b pub /x hello >/dev/null 2>&1
    grep -q hello "$box/cert-sub.out"
}
check certified_message_goes_over soon goes_over_certified
child=$b_pid
check certified_stops stops
who=wrong-name
start_daemon --bus cert-b --name cert-b --peer "other@$a_address" $(certs cert-b)
check wrong_name_is_said soon said "the other side's certificate is for 'cert-a', but 'other' must be there"
check wrong_name_stops stops
revoked()
{
    run 0 "$busbar" pki revoke "$box/ca" cert-b && cp "$box/ca/crl.pem" "$box/tls/cert-a/crl.pem" && kill -HUP "$a_pid" \
        && soon grep -q 'was read again' "$box/cert-a.err"
}
check revoked_and_reloaded revoked
who=revoked
start_daemon --bus cert-b --name cert-b --peer "cert-a@$a_address" $(certs cert-b)
check revoked_is_said_here soon said 'refused our certificate (certificate_revoked)'
check revoked_is_said_there soon grep -q "certificate (for 'cert-b') has been revoked" "$box/cert-a.err"
check revoked_stops stops
child=$a_pid
check certifier_stops stops

# ---- the service manager ---------------------------------------------------------------------------

cat >"$box/manager.py" <<'END'
import socket, sys
name, out = sys.argv[1], open(sys.argv[2], "w", buffering=1)
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\0" + name[1:] if name[0] == "@" else name)
print("bound", file=out)
while True:
    print(repr(s.recv(4096).decode()), file=out)
END
python3 "$box/manager.py" "$box/manager" "$box/heard" & children+=($!)
soon grep -q bound "$box/heard" 2>/dev/null
heard() { grep -q -- "$1" "$box/heard"; }
heard_times() { [ "$(grep -c -- "$2" "$box/heard")" -ge "$1" ]; }

sed 's/^psk.*/psk = copy.key/; s/^rights.*/rights = copy.rights/; s/^bus.*/bus = served/' "$box/good.ini" >"$box/live.ini"
cp "$box/the.key" "$box/copy.key"
cp "$box/the.rights" "$box/copy.rights"
who=served
NOTIFY_SOCKET=$box/manager WATCHDOG_USEC=400000 start_daemon --config "$box/live.ini"
served_pid=$child
check tells_ready soon heard 'READY=1\\nSTATUS=1 listener, 1 peer, key'
check feeds_the_watchdog soon heard_times 2 WATCHDOG=1

# Good: another listener, another topic.
sed -i 's/^listen.*/listen = 127.0.0.1:0 [::1]:0/; s/^topics.*/topics = \/c/' "$box/live.ini"
kill -HUP "$child"
check reload_is_told soon heard 'RELOADING=1\\nMONOTONIC_USEC=[0-9]'
check reload_listens soon grep -q '^listening on \[::1\]:' "$box/served.out"
check ready_again soon heard_times 2 READY=1
check reload_is_said said 'notice: the configuration was read again'

# Bad, each in its way: all stays, and it lives on.
reloads_of() { [ "$(grep -c -- 'all stays as it was' "$box/served.err")" -ge "$1" ]; }
bad_reload()
{
    kill -HUP "$child" && soon reloads_of "$1" && said "$2" && kill -0 "$child"
}
cp "$box/live.ini" "$box/kept.ini"
sed -i 's/^topics/topcis/' "$box/live.ini"
check bad_file_stays_out bad_reload 1 'live.ini:7: .*did you mean `topics`?'
cp "$box/kept.ini" "$box/live.ini"
echo 'allow there fly /a' >"$box/copy.rights"
check bad_rights_stay_out bad_reload 2 'copy.rights'
cp "$box/the.rights" "$box/copy.rights"
sed -i 's/^bus.*/bus = elsewhere/' "$box/live.ini"
check other_bus_stays_out bad_reload 3 'bus'
cp "$box/kept.ini" "$box/live.ini"
sed -i 's/^psk.*/insecure = yes/' "$box/live.ini"
check weaker_security_stays_out bad_reload 4 'security\|--insecure\|key'
cp "$box/kept.ini" "$box/live.ini"
kill -HUP "$child"
good_again() { [ "$(grep -c 'was read again' "$box/served.err")" -ge 2 ]; }
check good_file_again soon good_again
# Peers: one more, one fewer, another policy; one that is only named; none of it ends the link that stays.
who=far
start_daemon --bus far --name far --psk "$box/the.key" --listen 127.0.0.1:0
far_pid=$child
soon listens
far_address=$(address)
who=served
child=$served_pid
links_of() { timeout "$limit" "$busbar" -b "$1" bridge ls --json 2>/dev/null | jq -s "$2" | grep -qx true; }
reloads_as() # reloads_as FILTER - of the links of `served`, after SIGHUP
{
    kill -HUP "$child" && soon links_of served "$1"
}
peers() # peers TEXT - the peers of the file from now on
{
    sed '/^\[peer/,$d' "$box/kept.ini" >"$box/live.ini"
    printf '%b' "$1" >>"$box/live.ini"
}
peers "[peer far]\naddress = $far_address\n[peer there]\naddress = 127.0.0.1:1\n"
check reload_adds_a_peer reloads_as 'any(.name == "far" and .state == "up" and .slow == "drop-oldest")'
peers "[peer far]\naddress = $far_address\nslow = disconnect\nqueue = 1M\n"
check reload_changes_its_policy \
    reloads_as 'any(.name == "far" and .slow == "disconnect" and .queue_max == 1048576)'
check reload_removes_a_peer soon links_of served 'all(.name != "there")'
check link_stayed_up links_of served 'any(.name == "far" and .state == "up" and .ups == 1)'
peers "[peer gone]\nslow = drop-newest\n"
check reload_takes_the_link_down reloads_as 'all(.name != "far" or .state == "down")'
check other_side_is_told soon links_of far 'any(.name == "here" and .state == "down" and (.last | contains("taken down")))'
check named_peer_is_checked run 0 "$busbard" --config "$box/live.ini" --check
check named_peer_is_said prints '^peer      gone, when it links to us, drop-newest$'
echo 'queue = 1K' >>"$box/live.ini"
check short_queue_is_checked run 2 "$busbard" --config "$box/live.ini" --check
check short_queue_is_said says 'at least 65536 bytes, not 1024'
check served_stops stops
check tells_stopping heard STOPPING=1
child=$far_pid
check far_stops stops

# The bus goes while it is served.
who=removed
start_daemon --bus removed --listen 127.0.0.1:0
soon listens
ends_itself() { ! kill -0 "$child" 2>/dev/null; }
rm -rf "$BUSBAR_DIR/removed"
check removed_bus_ends_it soon ends_itself
check removed_bus_is_said said 'was removed or begun anew while this bridge ran'
removed_code() { wait "$child"; [ $? = 4 ]; }
check removed_bus_has_its_code removed_code

manager_gone() { run 8 env NOTIFY_SOCKET=/nowhere/socket "$busbard" --bus gone && says 'NOTIFY_SOCKET cannot be reached'; }
check manager_that_is_gone manager_gone

# The journal gets priorities in place of words.
journal()
{
    (
        exec 2>"$box/journal"
        JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) timeout -k 5 "$limit" "$busbard" --bus j --listen '*:0' >/dev/null
    )
    grep -q '^<3>' "$box/journal" && ! grep -q '^busbard:' "$box/journal"
}
check journal_priorities journal

# ---- completion ------------------------------------------------------------------------------------

. "$source_dir/tools/completion/busbard.bash"
# tab WORD... - what the last word may become, in $found.
tab()
{
    COMP_WORDS=("$busbard" "$@") COMP_CWORD=$# COMPREPLY=()
    _busbard "$busbard" "${!#}" "" 2>"$err"
    found="${COMPREPLY[*]}"
    silent "$err"
}
completes() { tab --li && [ "$found" = --listen ] && tab --engine e && [ "$found" = epoll ] && tab --peer x && [ -z "$found" ]; }
check completes_flags completes
every_flag() { tab -- && for key in bus listen peer topics retry-max check; do [[ " $found " == *" --$key "* ]] || return 1; done; }
check completes_every_flag every_flag

finish
