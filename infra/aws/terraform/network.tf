# Not yet run on AWS.

# A network for one machine: peers in and out at one port each, the services of AWS through private
# endpoints, and nobody else. There is no SSH and no other way to log in.

resource "aws_vpc" "operator" {
  cidr_block           = "10.77.0.0/24"
  enable_dns_hostnames = true
  enable_dns_support   = true
}

# Whatever forgets to name a group gets one that allows nothing.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.operator.id
}

resource "aws_subnet" "operator" {
  vpc_id            = aws_vpc.operator.id
  cidr_block        = "10.77.0.0/26"
  availability_zone = var.availability_zone
}

resource "aws_internet_gateway" "operator" {
  vpc_id = aws_vpc.operator.id
}

resource "aws_route_table" "operator" {
  vpc_id = aws_vpc.operator.id
}

resource "aws_route" "peers" {
  route_table_id         = aws_route_table.operator.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.operator.id
}

resource "aws_route_table_association" "operator" {
  subnet_id      = aws_subnet.operator.id
  route_table_id = aws_route_table.operator.id
}

resource "aws_eip" "operator" {
  domain   = "vpc"
  instance = aws_instance.parent.id
}

resource "aws_security_group" "parent" {
  name        = "ringforge-${var.operator}"
  description = "Peers of the plan, and the endpoints of AWS"
  vpc_id      = aws_vpc.operator.id
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  for_each = var.peers

  security_group_id = aws_security_group.parent.id
  description       = "${each.key} to this operator"
  cidr_ipv4         = each.value.range
  from_port         = var.port
  to_port           = var.port
  ip_protocol       = "tcp"
}

resource "aws_vpc_security_group_egress_rule" "peers" {
  for_each = var.peers

  security_group_id = aws_security_group.parent.id
  description       = "This operator to ${each.key}"
  cidr_ipv4         = each.value.range
  from_port         = each.value.port
  to_port           = each.value.port
  ip_protocol       = "tcp"
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  security_group_id            = aws_security_group.parent.id
  description                  = "The key service and the like, inside this network"
  referenced_security_group_id = aws_security_group.endpoints.id
  from_port                    = 443
  to_port                      = 443
  ip_protocol                  = "tcp"
}

resource "aws_vpc_security_group_egress_rule" "objects" {
  security_group_id = aws_security_group.parent.id
  description       = "S3 through its gateway"
  prefix_list_id    = aws_vpc_endpoint.objects.prefix_list_id
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
}

resource "aws_security_group" "endpoints" {
  name        = "ringforge-${var.operator}-endpoints"
  description = "Private endpoints of AWS services"
  vpc_id      = aws_vpc.operator.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id            = aws_security_group.endpoints.id
  description                  = "The parent of the enclave"
  referenced_security_group_id = aws_security_group.parent.id
  from_port                    = 443
  to_port                      = 443
  ip_protocol                  = "tcp"
}

# PrivateLink: the enclave's calls to its key do not leave AWS, and no other key can be called.
resource "aws_vpc_endpoint" "keys" {
  vpc_id              = aws_vpc.operator.id
  service_name        = "com.amazonaws.${var.region}.kms"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [aws_subnet.operator.id]
  security_group_ids  = [aws_security_group.endpoints.id]

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TheOperatorsKey"
      Effect    = "Allow"
      Principal = { AWS = aws_iam_role.parent.arn }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = aws_kms_key.shares.arn
    }]
  })
}

# S3 has a gateway in the network instead: free, and the packages of Amazon Linux come through it too.
resource "aws_vpc_endpoint" "objects" {
  vpc_id            = aws_vpc.operator.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.operator.id]
}
