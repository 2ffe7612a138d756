-- One piece of what is left to the background. Rows: again bool, one: there may be more to do at once.
SELECT api.work() AS again
