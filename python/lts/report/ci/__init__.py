"""What a comparison found, in the forms that systems of continuous integration read: see `lts.report.ci.formats`."""
