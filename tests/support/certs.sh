#!/bin/sh
# Makes test certificates in the directory $1: ca, server and client of that ca, an expired client, a second
# pair for the server, and a client of another ca. P-256; `openssl x509` signs them, so nothing is asked.
set -eu
cd "$1"

authority() { # name
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" \
        -subj "/CN=NetScope test $1" -days 3650 2>/dev/null
}

certificate() { # name, common name, alternative names, authority, days
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.csr" \
        -subj "/CN=$2" 2>/dev/null
    printf 'subjectAltName=%s\n' "$3" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$4.pem" -CAkey "$4.key" -CAcreateserial -out "$1.pem" \
        -extfile "$1.ext" -days "$5" 2>/dev/null
}

authority ca
authority other-ca
certificate server localhost "DNS:localhost,IP:127.0.0.1" ca 3650
certificate renewed renewed.example "DNS:localhost,IP:127.0.0.1" ca 3650
certificate client sensor-7 "DNS:sensor-7.example,URI:netscope:sensor-7" ca 3650
certificate stranger sensor-7 "DNS:sensor-7.example" other-ca 3650
# Valid for a single second of the past: x509 takes no start date, ca does.
mkdir -p issued
: >issued/index
echo 4096 >issued/serial
cat >issued/ca.cnf <<END
[ca]
default_ca = d
[d]
database = issued/index
new_certs_dir = issued
serial = issued/serial
default_md = sha256
policy = p
[p]
commonName = supplied
END
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout expired.key -out expired.csr \
    -subj "/CN=sensor-7" 2>/dev/null
openssl ca -batch -config issued/ca.cnf -cert ca.pem -keyfile ca.key -in expired.csr -out expired.pem \
    -startdate 20200101000000Z -enddate 20200102000000Z -notext 2>/dev/null
