-- What is registered never changes; `schemas` is a JSON object of the files that the definition refers to.
CREATE TABLE pathway_versions (
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  origin TEXT NOT NULL,
  definition TEXT NOT NULL,
  schemas TEXT NOT NULL,
  registered_at_us BIGINT NOT NULL,
  PRIMARY KEY (name, version)
);

-- From which offsets on (`starts`, a JSON list with one for each partition) which version runs; an empty version: none does.
CREATE TABLE pathway_activations (
  sequence BIGINT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  topic TEXT NOT NULL,
  starts TEXT NOT NULL,
  activated_at_us BIGINT NOT NULL
);
