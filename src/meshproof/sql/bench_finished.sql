-- How many runs finished in a time span ($1, $2), and how many there are in all.
SELECT count(*) FILTER (WHERE finished_at BETWEEN $1 AND $2) AS finished, count(*) AS runs FROM meshhook.runs
