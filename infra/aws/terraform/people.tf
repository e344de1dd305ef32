# Not yet run on AWS.

# What the operator's people may do: leave approvals and voices for the enclave, and read what it
# leaves for them. Everything there is signed; who can write there can take it away and say nothing.

resource "aws_iam_role" "people" {
  name                 = "ringforge-${var.operator}-people"
  description          = "Who speaks for ${var.operator} to its enclave"
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.people }
      Action    = "sts:AssumeRole"
      Condition = { Bool = { "aws:MultiFactorAuthPresent" = "true" } }
    }]
  })
}

resource "aws_iam_role_policy" "people" {
  name = "desk"
  role = aws_iam_role.people.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "TheDesk"
        Effect = "Allow"
        Action = ["s3:GetObject", "s3:PutObject"]
        Resource = [
          "${aws_s3_bucket.operator["state"].arn}/people/*",
          "${aws_s3_bucket.operator["state"].arn}/${var.operator}/people/*",
        ]
      },
      {
        Sid      = "WhatLiesOnIt"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = aws_s3_bucket.operator["state"].arn
        Condition = {
          StringLike = { "s3:prefix" = ["people/*", "${var.operator}/people/*"] }
        }
      },
    ]
  })
}
