#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Goal: people without a certificate authority get one by `busbar pki`: what it issues is what links ask for, keys are
# their owner's alone, nothing is written over unasked, what is revoked is in the list, and what fails leaves nothing.
# Method: the program, and `openssl verify` as the judge.
. "$(dirname "$0")/cli_common.bash"

if ! command -v openssl >/dev/null; then
    skip pki "openssl is not installed"
    finish
fi
ca=$box/ca
node=$ca/nodes/sensor-1

mode_is() { [ "$(stat -c %a "$2")" = "$1" ] || { echo "    $2 has mode $(stat -c %a "$2"), not $1"; return 1; }; }
no_rests() { [ -z "$(find "$box" -name '.busbar-pki*')" ] || { find "$box" -name '.busbar-pki*'; return 1; }; }
same() { [ "$(sha256sum <"$1")" = "$2" ]; }
crt_says() { openssl x509 -in "$1" -noout -text | grep -q -- "$2" || { echo "    $1 does not say $2"; return 1; }; }
verifies() { run 0 openssl verify -x509_strict -crl_check -CAfile "$ca/ca.crt" -CRLfile "$ca/crl.pem" "$@"; }
refused() { run 2 openssl verify -crl_check -CAfile "$ca/ca.crt" -CRLfile "$ca/crl.pem" "$1" && says "$2"; }

makes_an_authority()
{
    run 0 "$busbar" pki init "$ca" --cluster lab || return 1
    mode_is 700 "$ca" && mode_is 600 "$ca/ca.key" && crt_says "$ca/ca.crt" "CA:TRUE, pathlen:0" \
        && crt_says "$ca/ca.crt" "CN = busbar CA lab [0-9a-f]\{8\}$" && crt_says "$ca/ca.crt" "prime256v1"
}
check init makes_an_authority

issues()
{
    run 0 "$busbar" pki issue "$ca" sensor-1 --id 00112233445566778899aabbccddeeff || return 1
    [ "$(ls "$node" | xargs)" = "ca.crt crl.pem sensor-1.crt sensor-1.key" ] || return 1
    mode_is 600 "$node/sensor-1.key" && crt_says "$node/sensor-1.crt" "DNS:sensor-1, URI:busbar:00112233" \
        && crt_says "$node/sensor-1.crt" "TLS Web Server Authentication, TLS Web Client Authentication" \
        && verifies -purpose sslserver -verify_hostname sensor-1 "$node/sensor-1.crt" \
        && verifies -purpose sslclient "$node/sensor-1.crt"
}
check issue issues

# The key is the certificate's.
key_fits() { [ "$(openssl x509 -in "$node/sensor-1.crt" -noout -pubkey)" = "$(openssl pkey -in "$node/sensor-1.key" -pubout)" ]; }
check issue_key_fits key_fits

days_count()
{
    run 0 "$busbar" pki issue "$ca" short --days 2 || return 1
    openssl x509 -in "$ca/nodes/short/short.crt" -noout -checkend $((47 * 3600)) >"$out" \
        && ! openssl x509 -in "$ca/nodes/short/short.crt" -noout -checkend $((49 * 3600)) >"$out"
}
check issue_days days_count

# Another box's clock may be behind: what is new is good there at once.
good_an_hour_ago() { verifies -attime $(($(date +%s) - 3000)) "$node/sensor-1.crt"; }
check good_for_clocks_behind good_an_hour_ago

overwrite_refused()
{
    local sum
    sum=$(sha256sum <"$node/sensor-1.key")
    run 1 "$busbar" pki issue "$ca" sensor-1 && says "is there already" && same "$node/sensor-1.key" "$sum" || return 1
    sum=$(sha256sum <"$ca/ca.key")
    run 1 "$busbar" pki init "$ca" && says "is there already" && same "$ca/ca.key" "$sum" && no_rests
}
check overwrite_refused overwrite_refused

renews()
{
    local sum
    sum=$(sha256sum <"$node/sensor-1.key")
    run 0 "$busbar" pki issue "$ca" sensor-1 --renew && ! same "$node/sensor-1.key" "$sum" \
        && verifies "$node/sensor-1.crt" && key_fits && no_rests
}
check renew renews

elsewhere()
{
    mkdir "$box/empty" && run 0 "$busbar" pki issue "$ca" sensor-2 --out "$box/empty" \
        && [ -s "$box/empty/sensor-2.key" ] && run 0 "$busbar" pki issue "$ca" sensor-3 --out "$box/there" \
        && [ -s "$box/there/sensor-3.key" ] && run 4 "$busbar" pki issue "$ca" sensor-4 --out "$box/no/where"
}
check out elsewhere

revokes()
{
    cp "$node/sensor-1.crt" "$box/old.crt"
    run 0 "$busbar" pki revoke "$ca" sensor-1 && refused "$box/old.crt" "certificate revoked" || return 1
    verifies "$ca/nodes/short/short.crt" || return 1
    run 4 "$busbar" pki revoke "$ca" sensor-1 && says "has no certificate" || return 1
    run 0 "$busbar" pki issue "$ca" sensor-1 --renew && verifies "$node/sensor-1.crt"
}
check revoke revokes

shows()
{
    run 0 "$busbar" pki show "$ca" && [ "$(grep -c '^revoked .* sensor-1$' "$out")" = 2 ] \
        && [ "$(grep -c '^good .* sensor-1$' "$out")" = 1 ] && prints '^good .* busbar CA lab [0-9a-f]\{8\}$' || return 1
    run 0 "$busbar" pki show "$node/sensor-1.crt" && prints '^subject=CN=sensor-1$' && prints DNS:sensor-1 || return 1
    run 0 "$busbar" pki show "$ca/crl.pem" && prints 'Revoked Certificates' || return 1
    run 8 "$busbar" pki show "$node/sensor-1.key" && says "private key, which is not shown" && silent "$out" || return 1
    echo text >"$box/text"
    run 8 "$busbar" pki show "$box/text" && says "no PEM file" && run 4 "$busbar" pki show "$box/nothing"
}
check show shows

permissions()
{
    chmod 0640 "$ca/ca.key"
    run 5 "$busbar" pki issue "$ca" sensor-9 && says "has mode 0640" && [ ! -e "$ca/nodes/sensor-9" ]
    local rc=$?
    chmod 0600 "$ca/ca.key"
    return $rc
}
check key_that_others_read permissions

# What is no name stays no name: nothing of it reaches a path or a configuration.
names()
{
    local name
    for name in '' . .. ../x a/b 'a b' $'a\nb' 'a,URI:busbar:x' -x a..b "$(printf 'a%.0s' {1..64})"; do
        run 2 "$busbar" pki issue "$ca" -- "$name" || return 1
        run 2 "$busbar" pki revoke "$ca" -- "$name" || return 1
    done
    run 2 "$busbar" pki issue "$ca" ca && says 'cannot be called ca' \
        && run 2 "$busbar" pki issue "$ca" x --id zz && says '32 digits' \
        && run 2 "$busbar" pki issue "$ca" x --id 00112233445566778899aabbccddeefg || return 1
    run 2 "$busbar" pki issue "$ca" x --id 'a,DNS:b' && run 2 "$busbar" pki init "$box/x" --cluster 'a/CN=b' \
        && run 2 "$busbar" pki issue "$ca" x --days 0 && run 2 "$busbar" pki init "$box/x" --days 36501 \
        && [ ! -e "$box/x" ] && [ ! -e "$ca/nodes/x" ] && no_rests
}
check names names

# Signed, and then there is no room for it: the records know nothing of it.
nothing_in_the_records()
{
    local sum issued
    sum=$(sha256sum <"$ca/index.txt")
    issued=$(ls "$ca/issued" | wc -l)
    mv "$ca/crl.pem" "$box/crl.kept"
    run 8 "$busbar" pki issue "$ca" in-vain && says 'cannot read .*crl.pem' && same "$ca/index.txt" "$sum" \
        && [ "$(ls "$ca/issued" | wc -l)" = "$issued" ] && no_rests
    local rc=$?
    mv "$box/crl.kept" "$ca/crl.pem"
    run 0 "$busbar" pki issue "$ca" in-vain && [ "$rc" = 0 ]
}
check failure_leaves_no_record nothing_in_the_records

# Two authorities are two names.
two_names()
{
    run 0 "$busbar" pki init "$box/ca-2" || return 1
    [ "$(openssl x509 -in "$box/ca-2/ca.crt" -noout -subject)" != "$(openssl x509 -in "$ca/ca.crt" -noout -subject)" ] \
        && run 0 "$busbar" pki init "$box/ca-3" \
        && [ "$(openssl x509 -in "$box/ca-2/ca.crt" -noout -subject)" != "$(openssl x509 -in "$box/ca-3/ca.crt" -noout -subject)" ]
}
check authorities_have_names_of_their_own two_names

no_authority() { run 4 "$busbar" pki issue "$box/empty" n && says "no certificate authority" && run 4 "$busbar" pki issue "$box/nothing" n; }
check no_authority no_authority

# Without the program there is a sentence, and nothing is left behind.
without_openssl()
{
    mkdir "$box/bin"
    run 7 env PATH="$box/bin" "$busbar" pki init "$box/other" && says "apt-get install openssl" && [ ! -e "$box/other" ] \
        && no_rests
}
check without_openssl without_openssl

# One that fails half-way leaves nothing either.
fails_half_way()
{
    printf '#!/bin/sh\n[ "$1" != ca ] || { echo "no more" >&2; exit 1; }\nexec %s "$@"\n' "$(command -v openssl)" >"$box/bin/openssl"
    chmod +x "$box/bin/openssl"
    run 8 env PATH="$box/bin:$PATH" "$busbar" pki init "$box/other" && says '`openssl ca` failed: no more' \
        && [ ! -e "$box/other" ] && run 8 env PATH="$box/bin:$PATH" "$busbar" pki issue "$ca" half \
        && [ ! -e "$ca/nodes/half" ] && no_rests
}
check fails_half_way fails_half_way

# Two at once: the lock is held by the second's words.
two_at_once()
{
    exec 7<"$ca/.lock"
    flock -n 7 || return 1
    run 1 "$busbar" pki issue "$ca" second && says "another busbar works in"
    local rc=$?
    exec 7<&-
    return $rc
}
check two_at_once two_at_once

finish
