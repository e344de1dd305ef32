# Not yet run on AWS.

# The key of the vault. Its policy gives data keys to the measured image only and cannot be changed
# afterwards, so AWS's check against locking oneself out has to be bypassed: that is the intention.
# No alias and no rotation: both would need rights that the policy gives to nobody.

resource "aws_kms_key" "shares" {
  description                        = "Shares of ${var.operator}"
  policy                             = file(var.key_policy)
  bypass_policy_lockout_safety_check = true
  deletion_window_in_days            = 7
  multi_region                       = false

  # The policy names the role, which must be there before it.
  depends_on = [aws_iam_role.parent]

  lifecycle {
    # `ringforge operator leave` destroys it, nothing else. A new policy would be a new key.
    prevent_destroy = true
    ignore_changes  = [policy]
  }
}
