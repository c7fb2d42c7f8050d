-- What lists runs takes more filters, and gives ids alone: their rows are looked up once the page is known (see runs_page.sql).
DROP FUNCTION IF EXISTS meshhook.runs_page(smallint, uuid, int, text, int, int);
DROP FUNCTION IF EXISTS meshhook.runs_scanned(smallint, uuid);
