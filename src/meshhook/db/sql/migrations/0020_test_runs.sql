-- What lists runs takes one more filter: test runs or the others.
DROP FUNCTION IF EXISTS meshhook.runs_page(smallint, uuid, uuid, int, text[], int[], int, int);
DROP FUNCTION IF EXISTS meshhook.runs_search(smallint, uuid, uuid, int, text[], int[], int, text, text, int, int, bigint);
