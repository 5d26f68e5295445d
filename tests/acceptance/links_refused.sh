#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# links_refused.sh SOURCE BUILD - who should not be let in is refused before any byte of ours, and both sides say why.
#
# Two busbards, one of which shows something wrong: each of them logs a sentence of its own.  What our own busbard would
# never do is played by the openssl program, which must not be sent one byte of the application.
# Environment: BB_ENGINES.
# bb-timeout: 300
# bb-long
# shellcheck source=tests/acceptance/links_common.bash
. "$(dirname "${BASH_SOURCE[0]}")/links_common.bash"

command -v openssl >/dev/null || { skip links_refused "there is no openssl here; install the package openssl"; exit 77; }
keys=$box/keys
mkdir -m 0700 "$keys"
mkfifo "$keys/nothing"

# ---- certificates ----

ca() # ca FILE - a CA of its own
{
    mkdir -p "$keys/$1.d"
    : >"$keys/$1.d/index" && echo "unique_subject = no" >"$keys/$1.d/index.attr" && echo 1000 >"$keys/$1.d/serial"
    openssl ecparam -name prime256v1 -genkey -noout -out "$keys/$1.key" \
        && openssl req -x509 -new -key "$keys/$1.key" -subj "/CN=$1" -days 30 -out "$keys/$1.crt" \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}
ca_config() # of a CA and the extensions of what it issues
{
    cat <<CONFIG
[ca]
default_ca = one
[one]
dir = $keys/$1.d
database = $keys/$1.d/index
new_certs_dir = $keys/$1.d
serial = $keys/$1.d/serial
certificate = $keys/$1.crt
private_key = $keys/$1.key
default_md = sha256
default_crl_days = 30
policy = any
x509_extensions = ext
[any]
commonName = supplied
[ext]
basicConstraints = CA:FALSE
subjectAltName = DNS:$2
CONFIG
}
# issue FILE NAME CA [FROM UNTIL [KEY-WORDS...]] - FILE.crt and FILE.key; times as openssl has them.
issue()
{
    local file=$1 name=$2 from=${4:-} until=${5:-} dates
    [ -n "$from" ] && dates=(-startdate "$from" -enddate "$until") || dates=(-days 20)
    shift $(($# > 5 ? 5 : $#))
    [ $# -gt 0 ] || set -- -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1
    local authority=${authority_of:-ca}
    ca_config "$authority" "$name" >"$keys/config"
    openssl genpkey "$@" -out "$keys/$file.key" \
        && openssl req -new -key "$keys/$file.key" -subj "/CN=$file" -out "$keys/$file.csr" \
        && openssl ca -batch -notext -config "$keys/config" -in "$keys/$file.csr" -out "$keys/$file.crt" "${dates[@]}"
}
self_signed()
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$keys/$1.key" -out "$keys/$1.crt" \
        -subj "/CN=$1" -days 20 -addext "subjectAltName=DNS:$2" -addext basicConstraints=CA:FALSE
}
revoke() # revoke FILE CRL
{
    ca_config ca x >"$keys/config"
    openssl ca -config "$keys/config" -revoke "$keys/$1.crt" && openssl ca -config "$keys/config" -gencrl -out "$keys/$2"
}
make_all()
{
    (
        set -e
        ca ca
        ca other
        issue a a ca
        issue b b ca
        issue old a ca 20200101000000Z 20200201000000Z
        issue old-b b ca 20200101000000Z 20200201000000Z
        issue new a ca "$(date -u -d '+10 days' +%Y%m%d%H%M%SZ)" "$(date -u -d '+20 days' +%Y%m%d%H%M%SZ)"
        issue new-b b ca "$(date -u -d '+10 days' +%Y%m%d%H%M%SZ)" "$(date -u -d '+20 days' +%Y%m%d%H%M%SZ)"
        authority_of=other issue stray a other
        authority_of=other issue stray-b b other
        self_signed own a
        self_signed own-b b
        issue mallory mallory ca
        issue gone a ca
        issue gone-b b ca
        issue weak a ca "" "" -algorithm RSA -pkeyopt rsa_keygen_bits:1024
        issue weak-b b ca "" "" -algorithm RSA -pkeyopt rsa_keygen_bits:1024
        revoke gone first.crl
        revoke gone-b listed.crl
        chmod 0600 "$keys"/*.key
        openssl rand -hex 32 >"$keys/one.psk"
        openssl rand -hex 32 >"$keys/two.psk"
        chmod 0600 "$keys"/*.psk
    ) >"$keys/log" 2>&1 || { tail -n 5 "$keys/log"; return 1; }
}
with() { echo "--cert $keys/$1.crt --key $keys/$1.key --ca $keys/ca.crt"; } # with FILE - words for busbard

# ---- two busbards ----

# meet NAME-OF-A WORDS-OF-A WORDS-OF-B [NAME-OF-B] - b listens, a dials it as `b`; both stay.
meet()
{
    box_new a
    box_new b
    rm -f "$box"/[ab].{out,err}
    # shellcheck disable=SC2086
    start_at b b "$busbard" --dir "$box/b" --bus bus --name "${4:-b}" --engine "$engine" --listen 127.0.0.1:0 $3
    soon is_settled b && listens b || { show b; return 1; }
    # shellcheck disable=SC2086
    start_at a a "$busbard" --dir "$box/a" --bus bus --name "$1" --engine "$engine" --peer "b@127.0.0.1:$(port_of b)" $2
}
# logs_both PATTERN-A PATTERN-B - and neither says that a link is up.
logs_both()
{
    local good=0
    soon has_logged a "$1" || { echo "    the dialing side does not say: $1"; good=1; }
    soon has_logged b "$2" || { echo "    the listening side does not say: $2"; good=1; }
    is_down a && is_down b || { echo "    there is a link"; good=1; }
    [ $good = 0 ] || show a b
    return $good
}
refused() # refused NAME-OF-A WORDS-OF-A PATTERN-A WORDS-OF-B PATTERN-B [NAME-OF-B]
{
    local good=0
    meet "$1" "$2" "$4" "${6:-b}" && logs_both "$3" "$5" || good=1
    end_bridge a b || good=1
    return $good
}
accepted()
{
    local good=0
    meet a "$1" "$2" && soon is_up a && soon is_up b || { show a b; good=1; }
    end_bridge a b || good=1
    return $good
}

certificates_refused()
{
    local crl="--crl $keys/listed.crl"
    check "$engine, good certificates meet" accepted "$(with a)" "$(with b)"
    check "$engine, good certificates meet, with a CRL" accepted "$(with a) $crl" "$(with b) $crl"
    while IFS='|' read -r what dialing listening extra here there; do
        check "$engine, $what, who dials" refused a "$(with "$dialing")" "$there" "$(with b) $extra" "$here"
        check "$engine, $what, who listens" refused a "$(with a) $extra" "$here" "$(with "$listening")" "$there"
    done <<LIST
expired|old|old-b||has expired: it was valid until 2020-02-01|as expired (certificate_expired)
not yet valid|new|new-b||is not yet valid, only from|it is not yet valid, only from
wrong CA|stray|stray-b||was issued by another CA, '/CN=other'.*; our CA is '$keys/ca.crt'|does not trust the issuer '/CN=other'.*; ours is '$keys/stray
self-signed|own|own-b||is self-signed, so nobody vouches|it is self-signed.*; ours is '$keys/own
revoked|gone|gone-b|$crl|has been revoked: our CRL lists it.*; our CRL is '$keys/listed.crl'|its CRL lists it.*; ours is '$keys/gone
LIST
    check "$engine, wrong name" refused a "$(with a)" "is for 'mallory', but 'b' must be there" \
        "$(with mallory)" "it is for 'mallory', so the other side expects another name" mallory
    check "$engine, TLS to plain TCP" refused a "$(with a)" "same kind of keys" --insecure "speaks TLS, this side does not"
    check "$engine, plain TCP to TLS" refused a --insecure "speaks TLS, this side does not" "$(with b)" "same kind of keys"
}
keys_refused()
{
    check "$engine, one key on both sides" accepted "--psk $keys/one.psk" "--psk $keys/one.psk"
    check "$engine, wrong PSK" refused a "--psk $keys/one.psk" "its key for 'a' is another.*; ours is '$keys/one.psk'" \
        "--psk $keys/two.psk" "'a' has another pre-shared key.*, here $keys/two.psk"
    check "$engine, unknown PSK identity" refused b "--psk $keys/one.psk" "it knows no key for 'b'" \
        "--psk $keys/one.psk" "names itself 'b', which is this node"
    check "$engine, a key to certificates" refused a "--psk $keys/one.psk" "same kind of keys" \
        "$(with b)" "it uses a pre-shared key where we use certificates"
    check "$engine, certificates to a key" refused a "$(with a)" "it uses a pre-shared key where we use certificates" \
        "--psk $keys/one.psk" "same kind of keys"
    # Without any words both sides are of one user: boxes of one key file.
    check "$engine, keys of two users" refused a "" "its key for 'a' is another.*; ours is '$box/a/.key'" \
        "" "'a' has another pre-shared key.*, here $box/b/.key"
}

# ---- the openssl program ----

# foreign_dials NAME PATTERN-B PATTERN-OF-ALERT WORDS... - s_client to our listener: nothing of the application comes.
foreign_dials()
{
    local ours=$1 alert=$2 good=0
    shift 2
    box_new b
    # shellcheck disable=SC2046
    start_at b b "$busbard" --dir "$box/b" --bus bus --name b --engine "$engine" --listen 127.0.0.1:0 $(with b)
    soon listens b || return 1
    # Its input stays open: the other side must end it.
    timeout 15 openssl s_client -connect "127.0.0.1:$(port_of b)" -quiet -verify_quiet "$@" \
        <>"$keys/nothing" >"$box/foreign.out" 2>"$box/foreign.err" &
    local foreign=$!
    soon has_logged b "$ours" || { echo "    not said: $ours"; good=1; }
    soon grep -q "$alert" "$box/foreign.err" || { echo "    openssl was not told: $alert"; good=1; }
    [ -s "$box/foreign.out" ] && { echo "    bytes before it is known who is there"; good=1; }
    kill $foreign 2>/dev/null
    wait $foreign 2>/dev/null
    [ $good = 0 ] || { show b; tail -n 3 "$box/foreign.err" | sed 's/^/    /'; }
    end_bridge b || good=1
    return $good
}
# serve WORDS... - s_server at a port that nobody else has just then; sets port and foreign.
serve()
{
    local try
    for try in 1 2 3 4 5; do
        port=$((10000 + RANDOM % 20000)) # below those that the kernel gives away
        timeout 15 openssl s_server -accept "127.0.0.1:$port" -quiet "$@" \
            <>"$keys/nothing" >"$box/foreign.out" 2>"$box/foreign.err" &
        foreign=$!
        came() { ! kill -0 $foreign 2>/dev/null || ss -Hltnp "sport = :$port" | grep -q openssl; }
        soon came && kill -0 $foreign 2>/dev/null && ! grep -q 'unable to bind' "$box/foreign.err" && return 0
        kill $foreign 2>/dev/null
        wait $foreign 2>/dev/null
        echo "    try $try: port $port: $(tail -n 1 "$box/foreign.err")"
    done
    return 1
}
# foreign_listens PATTERN-A WORDS... - s_server, which ours dials.
foreign_listens()
{
    local ours=$1 good=0 port foreign
    shift
    box_new a
    serve "$@" || return 1
    # shellcheck disable=SC2046
    start_at a a "$busbard" --dir "$box/a" --bus bus --name a --engine "$engine" --peer "b@127.0.0.1:$port" $(with a)
    soon has_logged a "$ours" || { echo "    not said: $ours"; good=1; }
    [ -s "$box/foreign.out" ] && { echo "    bytes before it is known who is there"; good=1; }
    kill $foreign 2>/dev/null
    wait $foreign 2>/dev/null
    [ $good = 0 ] || show a
    end_bridge a || good=1
    return $good
}
foreign_refused()
{
    local weak=(-cert "$keys/weak.crt" -key "$keys/weak.key" -cipher "ALL:@SECLEVEL=0")
    local weak_b=(-cert "$keys/weak-b.crt" -key "$keys/weak-b.key" -cipher "ALL:@SECLEVEL=0")
    check "$engine, no client certificate" foreign_dials "shows no certificate" "alert.*116\|certificate required" -tls1_3
    check "$engine, weak key, who dials" foreign_dials "has a weak key, RSA of 1024 bits" "alert" -tls1_3 "${weak[@]}"
    check "$engine, weak key, who listens" foreign_listens "has a weak key, RSA of 1024 bits" -tls1_3 "${weak_b[@]}"
    check "$engine, TLS 1.2 only, who dials" foreign_dials "speaks TLS 1.2 or older" "protocol version" -tls1_2 \
        -cert "$keys/a.crt" -key "$keys/a.key"
    check "$engine, TLS 1.2 only, who listens" foreign_listens "TLS 1\." -tls1_2 -cert "$keys/b.crt" -key "$keys/b.key"
}

# ---- before anything listens ----

own_is_refused() # own_is_refused PATTERN WORDS... - our busbard itself does not start
{
    box_new c
    ! timeout 10 "$busbard" --dir "$box/c" --bus bus --name c --engine "$engine" "${@:2}" >"$out" 2>"$err" \
        && ! grep -q '^listening' "$out" && grep -q -- "$1" "$err"
}
start_refused()
{
    check "$engine, keyless on every address" own_is_refused "--insecure" --listen '*:0'
    check "$engine, keyless on an address that is not loopback" own_is_refused "--insecure" --listen 0.0.0.0:0
    chmod 0644 "$keys/two.psk"
    check "$engine, a key that others may read" own_is_refused "two.psk" --psk "$keys/two.psk" --listen 127.0.0.1:0
    chmod 0600 "$keys/two.psk"
    # shellcheck disable=SC2046
    check "$engine, a weak key of our own" own_is_refused "weak" --cert "$keys/weak.crt" --key "$keys/weak.key" \
        --ca "$keys/ca.crt" --listen 127.0.0.1:0
    # shellcheck disable=SC2046
    check "$engine, a certificate of another name" own_is_refused "mallory" $(with mallory) --listen 127.0.0.1:0
}

check "certificates are made" make_all || finish
find_engines
for engine in "${engines[@]}"; do
    certificates_refused
    keys_refused
    foreign_refused
    start_refused
done
finish
