# Not yet run on AWS.

# Sealed state, and the image. Both buckets keep every version for a while, whatever anybody orders:
# what a thief or an administrator overwrites can be read again.

locals {
  buckets = {
    state = "ringforge-${var.account}-${var.operator}-state"
    image = "ringforge-${var.account}-${var.operator}-image"
  }
}

resource "aws_s3_bucket" "operator" {
  for_each = local.buckets

  bucket              = each.value
  object_lock_enabled = true
  force_destroy       = false

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "operator" {
  for_each = aws_s3_bucket.operator

  bucket = each.value.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "operator" {
  for_each = aws_s3_bucket_versioning.operator

  bucket = each.value.bucket

  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.retention_days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "operator" {
  for_each = aws_s3_bucket.operator

  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "operator" {
  for_each = aws_s3_bucket.operator

  bucket = each.value.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "operator" {
  for_each = aws_s3_bucket.operator

  bucket = each.value.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "operator" {
  for_each = aws_s3_bucket_versioning.operator

  bucket = each.value.bucket

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.retention_days + 1
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "operator" {
  for_each = aws_s3_bucket.operator

  bucket = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "NobodyInTheClear"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [each.value.arn, "${each.value.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "TheMachineFromItsNetworkOnly"
        Effect    = "Deny"
        Principal = { AWS = aws_iam_role.parent.arn }
        Action    = "s3:*"
        Resource  = [each.value.arn, "${each.value.arn}/*"]
        Condition = { StringNotEquals = { "aws:SourceVpce" = aws_vpc_endpoint.objects.id } }
      },
    ]
  })

  depends_on = [aws_s3_bucket_public_access_block.operator]
}
