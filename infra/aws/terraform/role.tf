# Not yet run on AWS.

# What the machine may do: read and write its sealed objects, read the image. What it may do with the
# key stands in the key's policy and nowhere else, and is nothing without an attestation document.

resource "aws_iam_role" "parent" {
  name                 = "ringforge-${var.operator}"
  description          = "The machine that carries the enclave of ${var.operator}"
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "parent" {
  name = "objects"
  role = aws_iam_role.parent.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "SealedObjects"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${aws_s3_bucket.operator["state"].arn}/*"
      },
      {
        Sid      = "ListSealedObjects"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = aws_s3_bucket.operator["state"].arn
      },
      {
        Sid      = "TheImage"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = "${aws_s3_bucket.operator["image"].arn}/*"
      },
    ]
  })
}

resource "aws_iam_instance_profile" "parent" {
  name = "ringforge-${var.operator}"
  role = aws_iam_role.parent.name
}
