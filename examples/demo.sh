#!/bin/sh
# Both examples against the simulated driver: a raw-ring client with a real capture and pings, and pytun-pmd3 over IPv6.
# Writes to demo-out/: the reports, and a pcapng file that opens in Wireshark.
set -e
cd "$(dirname "$0")/.."
mkdir -p demo-out

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say 'A raw-ring client, written for Windows, reads a real capture and pings, and writes every packet back'
echo '$ wintunsim run --traffic capture:tests/data/tunnel-mixed.pcapng --traffic ping:count=5 --until 10s \'
echo '      --capture demo-out/ring_client.pcapng --check-determinism examples/ring_client.py'
wintunsim run --traffic capture:tests/data/tunnel-mixed.pcapng --traffic ping:count=5 --until 10s \
    --capture demo-out/ring_client.pcapng --report demo-out/ring_client.json --check-determinism examples/ring_client.py

say 'pytun-pmd3, as it comes from PyPI, reads the same capture through wintun.dll, and answers what is a ping over IPv6'
echo '$ wintunsim run --traffic capture:tests/data/tunnel-mixed.pcapng \'
echo '      --traffic ping:count=5,from=fd06:7::7,to=fd06:7::8 --check-determinism examples/pytun_echo.py 100'
wintunsim run --traffic capture:tests/data/tunnel-mixed.pcapng \
    --traffic ping:count=5,from=fd06:7::7,to=fd06:7::8 --report demo-out/pytun_echo.json \
    --capture demo-out/pytun_echo.pcapng --check-determinism examples/pytun_echo.py 100

say 'What crossed the rings, for Wireshark, and the reports as JSON'
ls -l demo-out
