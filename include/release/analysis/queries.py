"""Queries of the access log and the inference log for the analysis of a rollout step."""

from __future__ import annotations

from sqlalchemy import text

# What became of each request that the weights gave to a version, as the gateway saw it. What was repeated, or
# went to another server at once since this one was down or full, is a failure of the version. A request that
# the version refused and another version answered counts as refused: only then the version's own record is
# read. A caller that left before the response is neither; the time that it waited is a latency.
_BY_GATEWAY = """
SELECT id, received_at, latency_ms, bytes_in, is_refused AS refused, is_abandoned AS abandoned,
       NOT is_refused AND NOT is_abandoned AND NOT is_answered AS failed
FROM access_log LEFT JOIN LATERAL (
  SELECT bool_or(own.status BETWEEN 400 AND 499) AS by_itself FROM inference_log AS own
  WHERE access_log.retries > 0 AND own.gateway_id = access_log.id AND own.version = :version
    AND own.role IN ('champion', 'challenger')
) AS refusal ON true CROSS JOIN LATERAL (
  SELECT status BETWEEN 200 AND 299 AND retries = 0 AND version = :version AS is_answered,
         status BETWEEN 400 AND 499 OR coalesce(by_itself, false) AS is_refused,
         termination LIKE 'C%' AND NOT status BETWEEN 200 AND 599 AS is_abandoned
) AS outcome
WHERE :by_gateway AND use_case = :use_case AND endpoint = 'invocations' AND eligible
  AND assigned_version = :version
"""

# Copies of such requests. A copy may have two records, of the version and of the sender that got no response.
_OF_COPIES = """
SELECT DISTINCT ON (gateway_id) access_log.id, mirrored.received_at, mirrored.latency_ms, bytes_in,
       mirrored.status BETWEEN 400 AND 499 AS refused, false AS abandoned,
       mirrored.status NOT BETWEEN 200 AND 299 AND mirrored.status NOT BETWEEN 400 AND 499 OR {malformed}
         AS failed
FROM inference_log AS mirrored JOIN access_log ON access_log.id = mirrored.gateway_id
WHERE mirrored.use_case = :use_case AND mirrored.version = :version AND mirrored.role = ANY(:copies)
  AND eligible AND mirrored.received_at >= :since
  AND NOT (mirrored.role = 'replay' AND mirrored.status BETWEEN 400 AND 499)
ORDER BY gateway_id, failed DESC, refused DESC
"""

# A response without numbers is no answer. Predictions that were not logged are not judged.
_MALFORMED = """coalesce(jsonb_typeof({0}.predictions) NOT IN ('array', 'null')
  OR {0}.predictions @> '[null]', false)"""

# Bodies of at most 1, 8, 64 kB and more are compared with each other.
_REQUESTS = f"""
SELECT received_at, latency_ms, failed, refused, abandoned,
       NOT failed AND NOT refused AND NOT abandoned AS answered,
       CASE WHEN bytes_in <= 1000 THEN 0 WHEN bytes_in <= 8000 THEN 1 WHEN bytes_in <= 64000 THEN 2 ELSE 3 END
         AS size
FROM ({_BY_GATEWAY} AND received_at >= :since
      UNION ALL ({_OF_COPIES.format(malformed=_MALFORMED.format("mirrored"))})) AS request
"""  # noqa: S608  constants only

COUNT_REQUESTS = text(f"""
SELECT count(*) FILTER (WHERE NOT abandoned) AS requests,
       count(*) FILTER (WHERE failed) AS errors,
       count(*) FILTER (WHERE refused) AS refused,
       count(*) FILTER (WHERE abandoned) AS abandoned,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p99
FROM ({_REQUESTS}) AS request
""")  # noqa: S608  constants only

# Class k has the latencies up to 0.1 * 1.05^k ms. Values that are no numbers of ms are left out.
COUNT_LATENCIES = text(f"""
SELECT size,
       least(greatest(ceil(ln(latency_ms / 0.1) / ln(1.05)), 0), :n_edges)::int AS class_number,
       count(*) AS requests
FROM ({_REQUESTS}) AS request
WHERE (answered OR abandoned) AND latency_ms > 0 AND latency_ms < 'Infinity'
GROUP BY 1, 2
""")  # noqa: S608  constants only

# Only strata that are over, also in the access log.
COUNT_STRATA = text(f"""
SELECT floor(extract(epoch FROM received_at - :origin) / :stratum_s)::int AS stratum, size,
       count(*) AS requests,
       count(*) FILTER (WHERE failed) AS errors,
       count(*) FILTER (WHERE refused) AS refused
FROM ({_REQUESTS.replace(":since", ":origin")}) AS request
WHERE NOT abandoned AND received_at < :origin + :stratum_s * interval '1 second'
  * floor(extract(epoch FROM CAST(:logged_until AS timestamptz) - :origin) / :stratum_s)
GROUP BY 1, 2
""")  # noqa: S608  constants only

# Answers of a version that callers got, or that copies got.
_ANSWERS = """
FROM inference_log AS answer JOIN access_log ON access_log.id = answer.gateway_id
WHERE answer.use_case = :use_case AND answer.version = :version AND answer.received_at >= :since
  AND answer.status BETWEEN 200 AND 299 AND eligible
  AND (answer.role = ANY(:copies) OR (:by_gateway AND answer.role IN ('champion', 'challenger')
       AND access_log.version = :version AND access_log.status BETWEEN 200 AND 299))
"""

COUNT_ANSWERS = text(f"""
SELECT count(*) AS recorded,
       count(*) FILTER (WHERE answer.role <> ALL(:copies) AND {_MALFORMED.format("answer")}) AS malformed
{_ANSWERS}
""")

READ_PREDICTIONS = text(f"""
SELECT answer.predictions -> 0 AS value, md5(answer.inputs::text) AS inputs
{_ANSWERS} AND NOT {_MALFORMED.format("answer")}
ORDER BY answer.received_at, answer.id LIMIT :max_predictions
""")

READ_EARLIER_PREDICTIONS = text(f"""
SELECT answer.predictions -> 0 AS value
FROM inference_log AS answer
WHERE use_case = :use_case AND version = :version AND role = 'champion' AND received_at < :before
  AND status BETWEEN 200 AND 299 AND NOT {_MALFORMED.format("answer")}
ORDER BY received_at DESC, id LIMIT :max_predictions
""")  # noqa: S608  constants only

READ_REPLAYED_SINCE = text("""
SELECT min(access_log.received_at)
FROM inference_log AS replayed JOIN access_log ON access_log.id = replayed.gateway_id
WHERE replayed.use_case = :use_case AND replayed.version = :version AND replayed.role = 'replay'
  AND replayed.received_at >= :since
""")

# Until when everything that ended is in the access log.
READ_WATERMARK = text("SELECT complete_until FROM log_watermark WHERE log = 'access_log'")

# Each request counts once, however many rows it has. Predictions are compared if both lists have the same
# length, types and number of classes; otherwise the request counts as a shape mismatch. The shift of a
# multiclass prediction is half of the sum of the absolute differences: the probability mass that moved.
COMPARE_PAIRS = text("""
WITH pair AS (
  SELECT by_champion.predictions AS old, by_shadow.predictions AS new
  FROM inference_log AS by_shadow
  JOIN inference_log AS by_champion USING (use_case, gateway_id)
  WHERE use_case = :use_case AND by_shadow.version = :challenger AND by_shadow.role IN ('shadow', 'replay')
    AND by_champion.version = :champion AND by_champion.role = 'champion' AND by_shadow.received_at >= :since
    AND by_shadow.status BETWEEN 200 AND 299 AND by_champion.status BETWEEN 200 AND 299
    AND jsonb_typeof(by_shadow.predictions) = 'array' AND jsonb_typeof(by_champion.predictions) = 'array'
  ORDER BY by_shadow.received_at, gateway_id LIMIT :max_pairs
)
SELECT comparable, shift
FROM pair CROSS JOIN LATERAL (
  SELECT jsonb_array_length(old) = jsonb_array_length(new)
         AND coalesce(bool_and(jsonb_typeof(a) = jsonb_typeof(b) AND CASE jsonb_typeof(a)
           WHEN 'array' THEN jsonb_typeof(b) = 'array' AND jsonb_array_length(a) = jsonb_array_length(b)
           ELSE true END), true) AS comparable
  FROM ROWS FROM (jsonb_array_elements(old), jsonb_array_elements(new)) AS predictions_of_both(a, b)
) AS shape CROSS JOIN LATERAL (
  SELECT avg(CASE WHEN NOT comparable THEN NULL WHEN jsonb_typeof(a) = 'array' THEN (
    SELECT sum(abs(p::float8 - q::float8)) / 2
    FROM ROWS FROM (jsonb_array_elements_text(a), jsonb_array_elements_text(b)) AS classes(p, q)
  ) WHEN jsonb_typeof(a) = 'number' THEN abs(a::float8 - b::float8) END) AS shift
  FROM ROWS FROM (jsonb_array_elements(old), jsonb_array_elements(new)) AS predictions_of_both(a, b)
) AS difference
""")
