"""Queries of the inference log for the analysis of a rollout step."""

from __future__ import annotations

from sqlalchemy import text

# A response without numbers is no answer. Predictions that were not logged are not judged here.
_REQUESTS = """
SELECT received_at, latency_ms, request_id, inputs, predictions,
       status BETWEEN 400 AND 499 AS refused,
       status BETWEEN 200 AND 299 AND NOT malformed AS answered,
       CASE WHEN n_rows <= 1 THEN 0 WHEN n_rows <= 10 THEN 1 WHEN n_rows <= 100 THEN 2 ELSE 3 END AS size
FROM inference_log CROSS JOIN LATERAL (
  SELECT coalesce(jsonb_typeof(predictions) NOT IN ('array', 'null') OR predictions @> '[null]', false)
           AS malformed,
         coalesce(CASE jsonb_typeof(inputs) WHEN 'array' THEN jsonb_array_length(inputs) END, 1) AS n_rows
) AS row_of
WHERE use_case = :use_case AND version = :version AND role = ANY(:roles)
"""

COUNT_REQUESTS = text(f"""
SELECT count(*) AS requests,
       count(*) FILTER (WHERE NOT answered AND NOT refused) AS errors,
       count(*) FILTER (WHERE refused) AS refused,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS p99
FROM ({_REQUESTS} AND received_at >= :since) AS request
""")  # noqa: S608  constants only

# Class k has the latencies up to 0.1 * 1.05^k ms. Values that are no numbers of ms are left out.
COUNT_LATENCIES = text(f"""
SELECT size,
       least(greatest(ceil(ln(latency_ms / 0.1) / ln(1.05)), 0), :n_edges)::int AS class_number,
       count(*) AS requests
FROM ({_REQUESTS} AND received_at >= :since) AS request
WHERE answered AND latency_ms > 0 AND latency_ms < 'Infinity'
GROUP BY 1, 2
""")  # noqa: S608  constants only

# Only strata that are over.
COUNT_STRATA = text(f"""
SELECT floor(extract(epoch FROM received_at - :origin) / :stratum_s)::int AS stratum, size,
       count(*) AS requests,
       count(*) FILTER (WHERE NOT answered AND NOT refused) AS errors,
       count(*) FILTER (WHERE refused) AS refused
FROM ({_REQUESTS} AND received_at >= :origin) AS request
WHERE received_at < :origin + :stratum_s * interval '1 second'
  * floor(extract(epoch FROM clock_timestamp() - :origin) / :stratum_s)
GROUP BY 1, 2
""")  # noqa: S608  constants only

READ_PREDICTIONS = text(f"""
SELECT predictions -> 0 AS value, md5(inputs::text) AS inputs
FROM ({_REQUESTS} AND received_at >= :since) AS request
WHERE answered
ORDER BY received_at, request_id LIMIT :max_predictions
""")  # noqa: S608  constants only

READ_EARLIER_PREDICTIONS = text(f"""
SELECT predictions -> 0 AS value
FROM ({_REQUESTS} AND received_at < :before) AS request
WHERE answered
ORDER BY received_at DESC, request_id LIMIT :max_predictions
""")  # noqa: S608  constants only

# Each request counts once, however many rows it has. Predictions are compared if both lists have the same
# length, types and number of classes; otherwise the request counts as a shape mismatch. The shift of a
# multiclass prediction is half of the sum of the absolute differences: the probability mass that moved.
COMPARE_PAIRS = text("""
WITH pair AS (
  SELECT by_champion.predictions AS old, by_shadow.predictions AS new
  FROM inference_log AS by_shadow
  JOIN inference_log AS by_champion USING (use_case, request_id)
  WHERE use_case = :use_case AND by_shadow.version = :challenger AND by_shadow.role = 'shadow'
    AND by_champion.version = :champion AND by_champion.role = 'champion' AND by_shadow.received_at >= :since
    AND by_shadow.status BETWEEN 200 AND 299 AND by_champion.status BETWEEN 200 AND 299
    AND jsonb_typeof(by_shadow.predictions) = 'array' AND jsonb_typeof(by_champion.predictions) = 'array'
  ORDER BY by_shadow.received_at, request_id LIMIT :max_pairs
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
