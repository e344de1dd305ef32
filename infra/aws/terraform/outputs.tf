# Not yet run on AWS.

output "kms_key" {
  description = "What the operator's card names as kms_key."
  value       = aws_kms_key.shares.arn
}

output "storage" {
  description = "What the operator's card names as storage."
  value       = "s3://${aws_s3_bucket.operator["state"].bucket}"
}

output "address" {
  description = "Where peers reach this operator."
  value       = "${aws_eip.operator.public_ip}:${var.port}"
}

output "role" {
  description = "For `ringforge operator policy --role`."
  value       = aws_iam_role.parent.arn
}

output "people_role" {
  description = "What the operator's people assume to approve and to decide."
  value       = aws_iam_role.people.arn
}
