#!/usr/bin/env bash
# Says what the tests will skip on this machine, because a runner hides what a passing test prints.
set -uo pipefail
cd "$(dirname "$0")/.."
data=${PATHWAY_TEST_DATA:-../shared/data}
[ -e "$data/personal_transactions.csv" ] ||
  echo "SKIPPED: the tests on real statements ($data is absent; PATHWAY_TEST_DATA names the folder that has them)"
if [ -z "${PATHWAY_TEST_POSTGRES:-}" ] && ! (exec 3<>/dev/tcp/127.0.0.1/5432) 2>/dev/null; then
  echo "SKIPPED: the PostgreSQL half of the store's suites (no server on 127.0.0.1:5432; PATHWAY_TEST_POSTGRES names one)"
fi
exit 0
